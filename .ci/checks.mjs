/** The static checks: lint and types, format, and what is made from declarations. One at a time, as tests run beside them. */
import { spawn } from 'node:child_process';

/** Each takes seconds on an idle core, and minutes where the tests beside it are many and the cores are slow. */
const LIMIT_MS = 20 * 60_000;

const CHECKS = [
  // The types as well: see options.typeCheck there.
  ['oxlint', '--config', '.config/oxlint.config.ts'],
  // The parser of the plugin gives the same, in two thirds of the time.
  ['prettier', '--check', '--plugin=@prettier/plugin-oxc', '.'],
  ['node', 'src/tools/generate.ts', '--check'],
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

async function runCheck([command, ...args]) {
  const name = [command, ...args].join(' ');
  const start = performance.now();
  const { ok, output } = await run(command, args);
  const line = `${ok ? '✔' : '✖'} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`;
  return { name, ok, text: ok ? line : `${line}\n${output.trimEnd()}` };
}

async function run(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: LIMIT_MS });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => output.push(data));
  const ok = await new Promise((resolve) => {
    child.on('error', (error) => output.push(Buffer.from(error.message)));
    child.on('error', () => resolve(false));
    child.on('close', (code) => resolve(code === 0));
  });
  return { ok, output: Buffer.concat(output).toString() };
}
