import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import type { Log } from '../../../../src/base/log.ts';
import { openHistory } from '../../../../src/daemon/history/history.ts';
import { describeSkip, type RunEnding } from '../../../../src/daemon/run-ending.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-history-'));
let folders = 0;

after(() => {
  rmSync(root, { recursive: true });
});

function newFolder(): string {
  folders += 1;
  return path.join(root, String(folders), 'state');
}

/** A log that keeps its lines. */
function keepLines(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const keep = (fields: unknown, text?: string): void => void lines.push(text ?? String(fields));
  return { log: { info: keep, warn: keep } as unknown as Log, lines };
}

function ending(run: string, parts: Partial<RunEnding> = {}): RunEnding {
  return { ...describeSkip('events', run, 'schedule', 'busy'), status: 'committed', reason: 'ok', ...parts };
}

const FAILURE = { code: 'table-not-found', message: 'there is no table', hint: 'Make one.' };

describe('the history', () => {
  test('survives a restart, with all that it was given', async () => {
    const folder = newFolder();
    const { log, lines } = keepLines();
    const first = await openHistory(folder, log);
    const committed = ending('20261123T021500Z', {
      rows: 466_000,
      seconds: 12.5,
      resumed: true,
      troubles: [{ index: 3, attempts: 2, error: FAILURE }],
    });
    const failed = ending('20261124T021500Z', { status: 'failed', reason: FAILURE.code, error: FAILURE });
    const cancelled = ending('20261125T021500Z', { status: 'failed', reason: 'cancelled' });
    const elsewhere = ending('20261126T021500Z', { status: 'skipped', reason: 'cancelled on db2', otherHost: 'db2' });
    for (const one of [elsewhere, committed, failed, cancelled]) first.add(one);
    first.setArchive('events', { schedule: '* * * * * UTC', dueSince: new Date('2026-11-23T00:00Z'), paused: true });
    first.close();
    const second = await openHistory(folder, log);
    assert.deepEqual(second.list(10), [cancelled, failed, committed, elsewhere]);
    assert.deepEqual(second.list(1, 'events'), [cancelled]);
    assert.deepEqual(second.list(10, 'other'), []);
    assert.deepEqual(second.lastSuccess('events'), committed);
    assert.deepEqual(second.lastFailure('events'), failed);
    assert.deepEqual(second.failuresInARow('events'), { count: 1, since: failed.finishedAt });
    assert.equal(second.rowsBefore('events', committed.run), undefined);
    assert.equal(second.rowsBefore('events', '20261127T021500Z'), 466_000);
    assert.equal(second.failuresInARow('other'), undefined);
    assert.deepEqual(second.attemptsOf('events', failed.run), [failed]);
    assert.equal(second.latestCommitted('events', '99991231T235959Z'), committed.run);
    assert.equal(second.wasCancelled('events', cancelled.run), true);
    assert.equal(second.wasCancelled('events', elsewhere.run), true);
    assert.equal(second.wasCancelled('events', failed.run), false);
    assert.equal(second.archive('events')?.paused, true);
    assert.deepEqual(second.archive('events')?.dueSince, new Date('2026-11-23T00:00Z'));
    second.close();
    assert.deepEqual(lines, []);
  });

  test('knows after a kill which runs this host has begun, until they are committed', async () => {
    const folder = newFolder();
    const { log } = keepLines();
    const first = await openHistory(folder, log);
    first.started('events', '20261123T021500Z');
    first.started('events', '20261124T021500Z');
    first.add(ending('20261124T021500Z'));
    // As rows of a version that kept no starts.
    first.add(ending('20261125T021500Z', { status: 'failed', reason: 'stopped', trigger: 'by hand' }));
    first.add(ending('20261126T021500Z', { status: 'failed', reason: 'stopped', trigger: 'taken up' }));
    first.add(ending('20261127T021500Z', { status: 'skipped', reason: 'busy' }));
    first.close();
    const second = await openHistory(folder, log);
    const days = [23, 24, 25, 26, 27].filter((day) => second.hasStarted('events', `202611${day}T021500Z`));
    assert.deepEqual(days, [23, 24, 25]);
    assert.equal(second.hasStarted('other', '20261123T021500Z'), false);
    second.close();
    const database = new DatabaseSync(path.join(folder, 'pgsluice.db'));
    const kept = database.prepare('SELECT run FROM starts').all();
    assert.deepEqual(
      kept.map(({ run }) => run),
      ['20261123T021500Z'],
    );
    database.close();
  });

  test('sets a damaged file aside, says so once, and begins a new one', async () => {
    for (const damage of ['no database at all, but long enough to be looked at'.repeat(40), undefined]) {
      const folder = newFolder();
      const { log, lines } = keepLines();
      const before = await openHistory(folder, log);
      for (let index = 0; index < 200; index += 1) before.add(ending(`2026112${index % 10}T021500Z`));
      before.close();
      const file = path.join(folder, 'pgsluice.db');
      if (damage === undefined) truncateSync(file, 8192);
      else writeFileSync(file, damage);
      const history = await openHistory(folder, log);
      history.add(ending('20261123T021500Z'));
      assert.equal(history.list(10).length, 1);
      history.close();
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', /damaged; it is set aside/);
      const [aside] = readdirSync(folder).filter((name) => name.startsWith('pgsluice.db.damaged-'));
      assert.ok(aside !== undefined);
      if (damage !== undefined) assert.equal(readFileSync(path.join(folder, aside), 'utf8'), damage);
    }
  });

  test('is kept in memory where its folder cannot be made, and where the file is of a newer version', async () => {
    const { log, lines } = keepLines();
    const blocked = newFolder();
    mkdirSync(path.dirname(blocked));
    writeFileSync(blocked, 'a file in its place');
    const newer = newFolder();
    mkdirSync(newer, { recursive: true });
    const database = new DatabaseSync(path.join(newer, 'pgsluice.db'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    for (const folder of [blocked, newer]) {
      const history = await openHistory(folder, log);
      assert.match(history.problem?.message ?? '', /^the history cannot be kept in .*pgsluice\.db, and is lost/);
      history.add(ending('20261123T021500Z'));
      assert.equal(history.list(10).length, 1);
      history.close();
    }
    assert.equal(lines.length, 2);
    assert.ok(lines.every((line) => line.includes('kept in memory')));
  });

  test('says once that another process has locked the file, and writes what it could not as soon as it can', async () => {
    const folder = newFolder();
    const { log, lines } = keepLines();
    const history = await openHistory(folder, log);
    const other = new DatabaseSync(path.join(folder, 'pgsluice.db'));
    other.exec('BEGIN IMMEDIATE');
    history.add(ending('20261123T021500Z'));
    // That it can be read is no sign that it can be written.
    assert.deepEqual(history.list(10), []);
    assert.partialDeepStrictEqual(history.problem, {
      message: 'the history cannot be written: database is locked',
      hint: 'another process holds it',
    });
    history.add(ending('20261124T021500Z'));
    assert.equal(lines.filter((line) => line.includes('cannot be written')).length, 1);
    other.exec('ROLLBACK');
    other.close();
    history.add(ending('20261125T021500Z'));
    assert.deepEqual(
      history.list(10).map(({ run }) => run),
      ['20261125T021500Z', '20261124T021500Z', '20261123T021500Z'],
    );
    assert.ok(lines.includes('the history can be used again'));
    history.close();
  });

  test('keeps no more than twenty thousand attempts, and none that is older than two years', async () => {
    const folder = newFolder();
    const { log } = keepLines();
    (await openHistory(folder, log)).close();
    const database = new DatabaseSync(path.join(folder, 'pgsluice.db'));
    database.exec(
      `INSERT INTO runs WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20010)
       SELECT i, 'events', 'run ' || i, 'committed', 'ok', 'schedule', '', CASE WHEN i > 20005 THEN '2020-01-01' ELSE '2999' END,
         1, 1, 1, 1, 1, 0, 0, 0, 0, NULL, '[]', NULL, 0 FROM n`,
    );
    database.close();
    const history = await openHistory(folder, log);
    const kept = history.list(30_000).map(({ run }) => run);
    assert.deepEqual([kept.length, kept[0], kept.at(-1)], [20_000, 'run 20005', 'run 6']);
    history.close();
  });
});
