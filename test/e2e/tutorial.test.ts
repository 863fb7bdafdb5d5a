/** docs/tutorial.md, as somebody types it: each command of it runs, and what it says that they print is printed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { withDeadline } from '../support/cli.ts';
import { skipWithout } from '../support/needs.ts';
import { testDatabase } from '../support/postgres.ts';
import { PROGRAM } from '../support/program.ts';

const TUTORIAL = path.join(import.meta.dirname, '../../docs/tutorial.md');

/** What was compiled for earlier processes. */
const { XDG_CACHE_HOME } = process.env;
const COMPILED = XDG_CACHE_HOME === undefined ? {} : { XDG_CACHE_HOME };

interface Block {
  kind: string;
  text: string;
}

/** All blocks, in their order. */
function blocksOf(document: string): Block[] {
  const blocks = document.matchAll(/(<!-- Not run here: [^>]*-->\n\n)?^```(\w+)\n(.*?)^```$/gms);
  return [...blocks].map(([, notRun, kind = '', text = '']) => ({
    kind: notRun === undefined ? kind : 'not run',
    text,
  }));
}

/** Without what differs from one machine, and one minute, to the other. */
function shapeOf(line: string): string {
  return line
    .replaceAll(/\d+T\d+Z/g, 'RUN')
    .replaceAll(/\d+(?:\.\d+)? (?:KiB|MiB|GiB)/g, 'SIZE')
    .replaceAll(/\d+\.\d+ s\b/g, 'TIME')
    .replaceAll(/ +/g, ' ')
    .trim();
}

describe('the tutorial', { skip: skipWithout('psql') }, () => {
  test('runs from its first line to its last, and prints what it says', async (t) => {
    const database = await testDatabase(t);
    const home = await mkdtemp(path.join(os.tmpdir(), 'pgsluice-test-'));
    t.after(() => rm(home, { recursive: true }));
    const blocks = blocksOf(readFileSync(TUTORIAL, 'utf8'));
    const commands = blocks.filter(({ kind }) => kind === 'sh').map(({ text }) => text);
    const script = path.join(home, 'script.sh');
    await writeFile(
      script,
      [
        'set -eu',
        `pgsluice() { '${process.execPath}' '${PROGRAM}' "$@"; }`,
        // The URL is that of the reader.
        ...commands.map((command) =>
          command.replace(/^export DATABASE_URL=.*$/m, `export DATABASE_URL='${database.url}'`),
        ),
      ].join('\n'),
    );
    const bash = spawn('bash', [script], {
      env: { PATH: process.env['PATH'], HOME: home, ...COMPILED },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => bash.kill('SIGKILL'));
    const { promise: ended, resolve } = Promise.withResolvers<number | null>();
    bash.on('close', resolve);
    const printed = Promise.all([text(bash.stdout), text(bash.stderr)]);
    const code = await withDeadline(ended, () => 'the tutorial has not ended');
    const [stdout, stderr] = await printed;
    assert.equal(code, 0, stdout + stderr);
    const shapes = new Set(stdout.split('\n').map(shapeOf));
    const said = blocks.filter(({ kind }) => kind === 'text').flatMap(({ text }) => text.trimEnd().split('\n'));
    assert.deepEqual(
      said.filter((line) => !shapes.has(shapeOf(line))),
      [],
      stdout,
    );
    assert.ok(!stdout.includes(new URL(database.url).password), 'the password is printed');
    assert.ok(!(await readdir(home)).includes('pgsluice-tutorial'), 'something is left');
  });
});
