/**
 * Runs all tests, and the static checks beside them. With arguments (`npm test -- test/unit/x.test.ts
 * --test-name-pattern=…`) only what they select, and the checks besides with `--checks`. The runner's summary comes last,
 * after what the checks say and the list of what was skipped and why. An older Node must be able to load this file, as it
 * hands over to the pinned one: so node:fs is not imported by name, for its globSync.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec as Spec } from 'node:test/reporters';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { runChecks } from './checks.mjs';
import { groupFiles } from './test-groups.mjs';

const SCRIPT = fileURLToPath(import.meta.url);
const ROOT = join(dirname(SCRIPT), '..');
const BIN = join(ROOT, 'node_modules', '.bin');

/** Those that wait come first, beside the checks; the many short ones at the end keep all cores busy to the last. */
const FOLDERS = ['fault', 'e2e', 'integration', 'unit'];

process.chdir(ROOT);
const pinnedNode = join(BIN, 'node');
// A shell remembers where it found `node` before the set-up had put the pinned one first on the PATH.
if (fs.realpathSync(process.execPath) === fs.realpathSync(pinnedNode)) await main();
else process.exitCode = spawnSync(pinnedNode, [SCRIPT, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;

async function main() {
  process.env.PATH = [BIN, process.env.PATH].join(delimiter);
  // Hundreds of processes load the same files: compiled once, each is loaded in half the time.
  process.env.NODE_COMPILE_CACHE ??= join(ROOT, 'node_modules/.cache/compiled');
  // Of the program that they start, too, with what a use of it has compiled.
  process.env.XDG_CACHE_HOME = join(ROOT, 'node_modules/.cache');
  const { bundleForTests } = await import('./test-bundle.mjs');
  process.env.PGSLUICE_TEST_BUNDLE = await bundleForTests();
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      checks: { type: 'boolean' },
      'test-name-pattern': { type: 'string', multiple: true },
      'test-skip-pattern': { type: 'string', multiple: true },
      // Two cores: tests of faults wait much of their time.
      'test-concurrency': { type: 'string', default: '4' },
      // More than the longest wait within a test (test/support/cli.ts), so that it says itself what did not come.
      'test-timeout': { type: 'string', default: '240000' },
    },
  });
  const selective = positionals.length > 0 || values['test-name-pattern'] !== undefined;
  const files = filesOf(positionals);
  // Tests wait for much of their time, which the checks fill.
  const checks = values.checks || !selective ? runChecks() : Promise.resolve([]);
  await runTests(files, values, checks);
}

function filesOf(patterns) {
  if (patterns.length === 0) return FOLDERS.flatMap((folder) => fs.globSync(`test/${folder}/**/*.test.ts`).sort());
  const files = fs.globSync(patterns).sort();
  if (files.length > 0) return files;
  console.error(`no file matches ${patterns.join(' ')}`);
  return process.exit(2);
}

async function runTests(files, values, checks) {
  const events = run({
    files: groupFiles(files).map((file) => resolve(ROOT, file)),
    concurrency: Number(values['test-concurrency']),
    timeout: Number(values['test-timeout']),
    // A young generation that begins small is swept again and again while a file is loaded: a tenth of that time.
    execArgv: ['--min-semi-space-size=16', `--import=${pathToFileURL(join(ROOT, '.ci/cheap-promises.mjs')).href}`],
    testNamePatterns: values['test-name-pattern'],
    testSkipPatterns: values['test-skip-pattern'],
    // Unit tests need no server.
    globalSetupPath: files.every((file) => file.startsWith('test/unit/'))
      ? undefined
      : join(ROOT, 'test/support/global-setup.ts'),
  });
  for await (const text of report(events, checks)) process.stdout.write(text);
}

/** The built-in `spec` report, then the checks, then what was skipped, then what failed of the checks, and the summary. */
async function* report(events, checks) {
  const skipped = [];
  const summary = [];
  yield* Readable.from(withoutSummary(events, skipped, summary)).pipe(new Spec());
  const results = await checks;
  for (const { text } of results) yield `${text}\n`;
  const failed = results.filter(({ ok }) => !ok);
  if (failed.length > 0) process.exitCode = 1;
  if (skipped.length > 0) yield `\nSkipped:\n${skipped.map((line) => `  ${line}\n`).join('')}\n`;
  for (const { name } of failed) yield `✖ ${name}\n`;
  for (const line of summary) yield `ℹ ${line}\n`;
}

async function* withoutSummary(events, skipped, summary) {
  for await (const event of events) {
    const { type, data } = event;
    if (type === 'test:fail') process.exitCode = 1;
    if (type === 'test:pass' && data.skip !== undefined) skipped.push(skipLine(data));
    const closing = type === 'test:diagnostic' && data.nesting === 0 && data.file === undefined;
    if (closing && /^[a-z_]+ [\d.]+$/.test(data.message)) summary.push(data.message);
    else yield event;
  }
}

function skipLine({ file, name, skip }) {
  const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given';
  return `${file === undefined ? '' : `${relative(ROOT, file)}: `}${name}: ${reason}`;
}
