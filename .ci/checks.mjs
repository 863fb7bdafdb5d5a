/**
 * The static checks: lint and types, and format. One at a time, as tests run beside them. That what is made from declarations is
 * up to date is a unit test.
 */
import { spawn } from 'node:child_process';

/** Each takes seconds on an idle core, and minutes where the tests beside it are many and the cores are slow. */
const LIMIT_MS = 20 * 60_000;

/** One thread that knows all types, instead of several that each find out, and few collections: a quarter of the CPU less. */
const ONE_CHECKER = { GOMAXPROCS: '1', GOGC: '400', GOMEMLIMIT: '2GiB' };

const CHECKS = [
  // The types as well: see options.typeCheck there.
  { command: ['oxlint', '--config', '.config/oxlint.config.ts', '--threads=1'], env: ONE_CHECKER },
  // The parser of the plugin gives the same, in two thirds of the time.
  { command: ['prettier', '--check', '--plugin=@prettier/plugin-oxc', '.'] },
];

/**
 * Resolves to one result for each check, `{ name, ok, text }`, and never rejects: the text is a line with the time, and what
 * a check that failed has printed. All of them run, so that one run shows everything.
 */
export async function runChecks() {
  const results = [];
  for (const check of CHECKS) results.push(await runCheck(check));
  return results;
}

async function runCheck({ command, env }) {
  const name = command.join(' ');
  const start = performance.now();
  const { ok, output } = await run(command, env);
  const line = `${ok ? '✔' : '✖'} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`;
  return { name, ok, text: ok ? line : `${line}\n${output.trimEnd()}` };
}

async function run([command, ...args], env) {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    env: { ...process.env, ...env },
  });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => output.push(data));
  const ok = await new Promise((resolve) => {
    child.on('error', (error) => output.push(Buffer.from(error.message)));
    child.on('error', () => resolve(false));
    child.on('close', (code) => resolve(code === 0));
  });
  return { ok, output: Buffer.concat(output).toString() };
}
