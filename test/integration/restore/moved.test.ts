/** Folders that were renamed, copied or moved: list, verify and restore read a run where it lies or not at all, by one rule. */
import assert from 'node:assert/strict';
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { listCommand } from '../../../src/commands/list.ts';
import { verifyCommand } from '../../../src/commands/verify.ts';
import type { Invocation } from '../../../src/commands/invocation.ts';
import type { RestoreResult } from '../../../src/restore/request.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { testDatabase, type TestDatabase } from '../../support/postgres.ts';
import { countRows, openYard, type Yard } from './support.ts';

const LATER = '20261123T030000Z';
const KEPT = { by: 'key', targetSize: '2KiB' };

describe('a folder of a run', () => {
  let database: TestDatabase;
  let yard: Yard;
  let store: string;
  let run: string;

  before(async () => {
    database = await testDatabase();
    yard = await openYard(database);
    store = path.join(yard.folder, 'store');
    await database.client.query(
      'CREATE TABLE original (id int PRIMARY KEY); INSERT INTO original SELECT generate_series(1, 300)',
    );
    run = (await yard.archive({ table: 'original', segments: KEPT })).run;
  });

  after(() => rm(path.join(store, 'other'), { recursive: true, force: true }));

  const folderOf = (id: string, archive = 'it'): string => path.join(store, archive, `run=${id}`);

  async function command<T>(call: (invocation: Invocation) => Promise<number>): Promise<T> {
    return JSON.parse((await commandOfFile(path.join(yard.folder, 'config.yaml'), {}, call)).stdout) as T;
  }

  /** What the three commands say of the run, which must be the same. */
  async function say(id: string, table: string): Promise<{ list: string; verify: string; restore: RestoreResult }> {
    const runs = await command<{ run: string; status: string; error: string | null }[]>((at) => listCommand(at, 'it'));
    const listed = runs.find((one) => one.run === id);
    const report = await command<{ ok: boolean; problems: { message: string }[] }>((at) =>
      verifyCommand(at, 'it', { run: id }),
    );
    const restore = await yard.restore(table, { run: id, create: true });
    return {
      list: `${listed?.status}: ${listed?.error ?? ''}`,
      verify: report.ok ? 'ok' : report.problems.map(({ message }) => message).join(),
      restore,
    };
  }

  test('in a destination that was moved is read where it lies, though its manifest names other keys', async () => {
    const file = path.join(folderOf(run), '_manifest.json');
    const manifest = await readFile(file, 'utf8');
    await writeFile(file, manifest.replaceAll('"key": "it/', '"key": "old/prefix/it/'));
    const { list, verify, restore } = await say(run, 'moved');
    await writeFile(file, manifest);
    assert.deepEqual([list, verify, restore.status, restore.rows], ['committed: ', 'ok', 'restored', 300]);
  });

  test('that was renamed is refused by all three, with the way back, though the run that it names is there', async () => {
    await cp(folderOf(run), folderOf(LATER), { recursive: true });
    const { list, verify, restore } = await say(LATER, 'copied');
    await rm(folderOf(LATER), { recursive: true });
    const why = new RegExp(`_manifest\\.json is not of this run: it is that of it ${run}$`);
    assert.match(list, /^failed: misplaced: /);
    for (const text of [list, restore.error?.message ?? '']) assert.match(text, why);
    const back = `Move it back to it/run=${run}/ of its destination`;
    assert.match(verify, new RegExp(`_manifest\\.json is not of this run: it is that of it ${run} \\(.*${back}`));
    assert.equal(restore.error?.code, 'misplaced');
    assert.match(restore.error.hint, new RegExp(back));
  });

  test("of an archive that was renamed is refused, and the old archive's rows are not taken for its own", async () => {
    await rename(path.join(store, 'it'), path.join(store, 'other'));
    await cp(path.join(store, 'other'), path.join(store, 'it'), { recursive: true });
    const file = path.join(folderOf(run), '_manifest.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"archive": "it"', '"archive": "other"'));
    const { list, verify, restore } = await say(run, 'renamed');
    for (const text of [list, verify, restore.error?.message ?? '']) assert.match(text, /it is that of other /);
    const { rows } = await database.client.query("SELECT to_regclass('renamed') AS made");
    assert.deepEqual(rows, [{ made: null }]);
    assert.equal(await countRows(database.client, 'moved'), 300);
  });
});
