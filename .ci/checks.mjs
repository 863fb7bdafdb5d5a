/** The static checks: types, lint, format, and what is made from declarations. Two at a time, the longest first. */
import { spawn } from 'node:child_process';

const LIMIT_MS = 300_000;
const AT_ONCE = 2;

const CHECKS = [
  ['eslint', '--config', '.config/eslint.js', '.'],
  ['prettier', '--check', '.'],
  ['tsc', '--noEmit'],
  ['tsc', '--project', '.config/tsconfig.page.json'],
  ['node', 'src/tools/generate.ts', '--check'],
];

/** Resolves to the names of the checks that failed. All of them run, so that one run shows everything. */
export async function runChecks() {
  const waiting = [...CHECKS];
  const failed = [];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const name = next.join(' ');
      if (!(await runCheck(name, next))) failed.push(name);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return failed;
}

async function runCheck(name, [command, ...args]) {
  const start = performance.now();
  const { ok, output } = await run(command, args);
  console.log(`${ok ? '✔' : '✖'} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  if (!ok) console.log(output.trimEnd());
  return ok;
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
