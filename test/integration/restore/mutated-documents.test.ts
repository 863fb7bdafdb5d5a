/**
 * Changed documents against a real server whose log is read: whatever a plan, a receipt or a manifest says, only such statements
 * are sent as a correct one gives. PGSLUICE_TEST_MUTATIONS makes it more of them.
 */
import assert from 'node:assert/strict';
import { link, mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, test } from 'node:test';
import { mutate } from '../../support/mutations.ts';
import { newSeed } from '../../support/random.ts';
import { triesOf } from '../../support/thorough.ts';
import { watchedDatabase, type WatchedDatabase } from '../../support/watched-database.ts';
import { openYard, type Yard } from './support.ts';

const COUNT = Number(process.env['PGSLUICE_TEST_MUTATIONS'] ?? triesOf(2, 4));
const ROWS = 3000;
const RUN = '20261101T000000Z';
const ARCHIVE = {
  table: 'public.original',
  segments: { by: 'key', targetSize: '16KiB', parallel: 1 },
  retry: { attempts: 1, backoff: '1ms' },
};

let watched: WatchedDatabase;
let yard: Yard;
const first = newSeed();

before(async () => {
  watched = await watchedDatabase();
  yard = await openYard(watched.database);
  await watched.database.client.query(
    `CREATE TABLE original (id int PRIMARY KEY, note text);
     INSERT INTO original SELECT i, repeat('n', 20) FROM generate_series(1, ${ROWS}) AS i; ANALYZE original`,
  );
});

/** The shapes of the statements that our sessions have sent while `work` went on. */
async function shapesDuring(work: () => Promise<void>): Promise<Set<string>> {
  const mark = await watched.mark();
  await work();
  return new Set((await watched.statementsSince(mark)).map(({ text }) => shapeOf(text)));
}

/** A statement without its names, values and numbers, however many columns the table has, and whether it has a key. */
function shapeOf(statement: string): string {
  return statement
    .trim()
    .replaceAll(/E?'(?:[^'\\]|''|\\\\)*'/g, '?')
    .replaceAll(/"(?:[^"]|"")*"/g, 'NAME')
    .replaceAll(/\b\d+\b/g, 'N')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/NAME (?:integer|text)(?: NOT NULL)?/g, 'COLUMN')
    .replaceAll(/(NAME|COLUMN)(?:, \1)+/g, '$1')
    .replace(/, PRIMARY KEY \(NAME\)\)$/, ')');
}

function assertKnown(shapes: ReadonlySet<string>, known: ReadonlySet<string>): void {
  for (const shape of shapes) assert.ok(known.has(shape), `no correct document gives: ${shape}`);
}

/** The same files under another folder: receipts know them by their inodes. */
async function linkAll(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const source = path.join(entry.parentPath, entry.name);
    const target = path.join(to, path.relative(from, source));
    await mkdir(path.dirname(target), { recursive: true });
    await link(source, target);
  }
}

async function eachMutation(document: string, tryOne: (text: string) => Promise<void>): Promise<void> {
  for (let step = 0; step < COUNT; step += 1) {
    try {
      await tryOne(mutate(document, first + step));
    } catch (error) {
      throw new Error(`seed ${first + step}: PGSLUICE_TEST_SEED=${first + step} begins with it`, { cause: error });
    }
  }
}

test('a run that is taken up sends what a correct journal makes it send, whatever the journal says', async () => {
  const folder = path.join(yard.folder, 'store/it', `run=${RUN}`);
  const kept = path.join(yard.folder, 'kept');
  const known = await shapesDuring(async () => {
    // Stands where an object is to be, so that the run ends with some of its receipts.
    const stone = path.join(folder, 'part-00003.jsonl.gz');
    await mkdir(stone, { recursive: true });
    const failed = await yard.run(ARCHIVE, RUN);
    assert.equal(failed.status, 'failed');
    await rmdir(stone);
    await linkAll(folder, kept);
    const { status, rows, resumed } = await yard.run(ARCHIVE, RUN);
    assert.deepEqual([status, rows, resumed], ['committed', ROWS, true]);
  });
  const receipts = (await readdir(path.join(kept, '_pgsluice'))).filter((name) => name.startsWith('part-'));
  assert.ok(receipts.length >= 2, 'some segments were done');
  for (const name of ['plan.json', receipts[1]!]) {
    const document = await readFile(path.join(kept, '_pgsluice', name), 'utf8');
    await eachMutation(document, async (text) => {
      await rm(folder, { recursive: true });
      await linkAll(kept, folder);
      await rm(path.join(folder, '_pgsluice', name));
      await writeFile(path.join(folder, '_pgsluice', name), text);
      let ending = '';
      const shapes = await shapesDuring(async () => {
        const { status, rows, error } = await yard.run(ARCHIVE, RUN);
        ending = error?.code ?? `${status} ${rows}`;
      });
      assert.match(
        ending,
        new RegExp(`^(?:committed ${ROWS}|bad-journal|newer-journal|object-changed|segment-missing)$`),
      );
      assertKnown(shapes, known);
      await watched.assertUnharmed();
    });
  }
});

test('a restore sends what a correct manifest makes it send, whatever the manifest says', async () => {
  const { run } = await yard.archive({ table: 'public.original' });
  await watched.database.client.query('CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES');
  const bare = await yard.archive({ table: 'public.bare' });
  const file = path.join(yard.folder, 'store/it', `run=${run}`, '_manifest.json');
  const document = await readFile(file, 'utf8');
  const restore = async (keys: { from?: string } = {}): Promise<string> => {
    await watched.database.client.query('DROP TABLE IF EXISTS back');
    const { status, error } = await yard.restore('back', { run, create: true, keys });
    return error?.code ?? status;
  };
  const known = await shapesDuring(async () => {
    assert.equal(await restore(), 'restored');
    assert.equal(await restore({ from: '10' }), 'restored');
    await watched.database.client.query('DROP TABLE back');
    assert.equal((await yard.restore('back', { run: bare.run, create: true })).status, 'restored');
    // A broken one: how a restore begins, and is given up.
    const other = (_: string, name: string, digit: string): string => name + (digit === '0' ? '1' : '0');
    const broken = document.replace(/("sha256": ?")(.)/, other).replace(/("crc32": ?")(.)/, other);
    assert.notEqual(broken, document);
    await writeFile(file, broken);
    assert.equal(await restore(), 'object-damaged');
  });
  await eachMutation(document, async (text) => {
    await writeFile(file, text);
    for (const keys of [{}, { from: '10' }]) {
      let ending = '';
      const shapes = await shapesDuring(async () => {
        ending = await restore(keys);
      });
      assert.match(ending, /^(?:restored|refused|bad-manifest|newer-journal|object-[a-z]+|[a-z-]+)$/);
      assertKnown(shapes, known);
      await watched.assertUnharmed();
    }
  });
});
