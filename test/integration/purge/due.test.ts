/** The purges that the daemon makes by itself: what it must not touch first, then what goes, and in which order. */
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { loadConfig } from '../../../src/config/load.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';
import type { RunFolder } from '../../../src/ledger/run-folder.ts';
import { listCommand } from '../../../src/commands/list.ts';
import { purgeCommand } from '../../../src/commands/purge.ts';
import { restoreCommand } from '../../../src/commands/restore.ts';
import { runCommand } from '../../../src/commands/run.ts';
import { connectPostgres, endConnection } from '../../../src/postgres/connect.ts';
import { identifySource } from '../../../src/postgres/snapshot.ts';
import type { DuePurges, PurgedArchive } from '../../../src/purge/due.ts';
import { purgeDue, type PassEnding, type PassMemory } from '../../../src/purge/purge-due.ts';
import { purgeRun } from '../../../src/purge/purge-run.ts';
import type { PurgeResult } from '../../../src/purge/request.ts';
import { markOwnTable } from '../../../src/restore/mark.ts';
import { Refusal } from '../../../src/restore/refusal.ts';
import type { RestoreRequest, RestoreResult } from '../../../src/restore/request.ts';
import type { RunResult } from '../../../src/run/run-archive.ts';
import { lockConnection, openLock } from '../../../src/run/lock.ts';
import { openKnownRuns } from '../../../src/windows/known-runs.ts';
import { commandInProcess, runInProcess } from '../../support/in-process.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';
import { putObject, removeObject } from '../../support/segments.ts';
import { openSite, PREFIX, type Site } from '../../support/site.ts';

const NOTHING = { deleted: 0, absent: 0, changed: 0, locked: 0, referenced: 0, inexact: 0, kept: 0 };
const DAY = 86_400_000;
const HOUR = 3_600_000;
const NAME = 'events';
const DAYS = [1, 2, 3].map((day) => `2026010${day}T000000Z`) as [string, string, string];

let site: Site;
let config: string;
let memory: PassMemory;
/** What the runs of the three days leave: made once, and put back before each test. */
const archived = new Map<string, Buffer>();

before(async () => {
  site = await openSite();
  await createEvents();
  config = await writeConfig();
  for (const run of DAYS) {
    const { result } = await runInProcess(site, config, NAME, run);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
  }
  for (const key of await site.keys(NAME)) archived.set(key, (await site.stored(key))!.body);
});

async function sql(text: string): Promise<Record<string, unknown>[]> {
  return (await site.database.client.query(text)).rows as Record<string, unknown>[];
}

/** Rows that are left of each day. */
async function left(): Promise<number[]> {
  const rows =
    await sql(`SELECT count(e.id)::int AS n FROM generate_series(timestamptz '2026-01-01Z', '2026-01-03Z', '1 day') AS d
    LEFT JOIN events e ON e.at >= d AND e.at < d + interval '1 day' GROUP BY d ORDER BY d`);
  return rows.map(({ n }) => Number(n));
}

async function writeConfig(changes: object = {}, purge: object = {}, parts: object = {}): Promise<string> {
  const window = { column: 'at', every: 'day', from: '2026-01-01' };
  const archive = {
    table: 'events',
    window,
    segments: { by: 'key', targetSize: '8KiB' },
    purge: { after: '7d', ...purge },
  };
  // Each command starts its own threads, which takes longer than the run does.
  const rest = { log: { level: 'silent' }, workers: { threads: 1 }, ...parts };
  return site.writeConfig({ archives: { [NAME]: { ...archive, ...changes } }, ...rest });
}

/** As if the run had been committed so long ago. */
async function age(run: string, ageMs: number, changes: Partial<Manifest> = {}): Promise<void> {
  const manifest = (await site.manifest(NAME, run))!;
  const finishedAt = new Date(Date.now() - ageMs).toISOString();
  const body = Buffer.from(JSON.stringify({ ...manifest, finishedAt, ...changes }));
  await putObject(site, `${PREFIX}${NAME}/run=${run}/_manifest.json`, body);
}

interface Pass extends PassEnding {
  results: string[];
  all: PurgeResult[];
  due: DuePurges | undefined;
  log: LogLine[];
}

async function pass(
  file = config,
  onProgress: (stop: AbortController) => void = () => undefined,
  onEnd: (stop: AbortController) => void = () => undefined,
): Promise<Pass> {
  const loaded = loadConfig(file, site.environment);
  const archive = loaded.archives[NAME] as PurgedArchive;
  const log: LogLine[] = [];
  const all: PurgeResult[] = [];
  const stop = new AbortController();
  let due: DuePurges | undefined;
  const options = {
    config: loaded,
    log: recordTo(log),
    signal: stop.signal,
    known: openKnownRuns(loaded, archive),
    memory,
  };
  const ending = await purgeDue(options, archive, {
    found: (found) => {
      due = found;
    },
    end: (result) => {
      all.push(result);
      onEnd(stop);
    },
    progress: () => {
      onProgress(stop);
    },
  });
  const results = all.map(({ run, status, problems, error, stoppedBy }) =>
    [run, status, ...new Set(problems.map(({ code }) => code)), error?.code, stoppedBy].filter(Boolean).join(' '),
  );
  return { ...ending, results, all, due, log };
}

async function createEvents(): Promise<void> {
  await sql(`DROP TABLE IF EXISTS events, children, elsewhere, heir CASCADE;
    CREATE TABLE events (id int PRIMARY KEY, at timestamptz NOT NULL, v text);
    INSERT INTO events SELECT i, timestamptz '2026-01-01Z' + (i - 1) * interval '6 min', md5(i::text) FROM generate_series(1, 720) AS i;
    CREATE INDEX ON events (at); ANALYZE events`);
}

beforeEach(async () => {
  for (const key of await site.keys(NAME)) await removeObject(site, key);
  for (const [key, body] of archived) await putObject(site, key, body);
  await createEvents();
  config = await writeConfig();
  memory = { done: new Map(), differentAtMs: new Map() };
});

describe('what the daemon does not purge by itself', () => {
  test('a run that is younger than `after`, by the clock of the database', async () => {
    await age(DAYS[0], 7 * DAY - HOUR);
    const { results, due } = await pass();
    assert.deepEqual([results, due?.due, await left()], [[], [], [240, 240, 240]]);
    assert.ok(Math.abs((due?.nextDueMs ?? 0) - Date.now() - HOUR) < 60_000);
  });

  test('anything by the clock of its own host, where the database cannot be asked', async () => {
    await age(DAYS[0], 8 * DAY);
    const sources = { default: { url: '${DATABASE_URL}' }, away: { url: 'postgres://nobody@127.0.0.1:1/nothing' } };
    const { results, failure } = await pass(await writeConfig({}, { source: 'away' }, { sources }));
    assert.deepEqual([results, failure?.code], [[], 'connection-refused']);
  });

  test('a run whose objects are damaged: those after it go, and it is not read again at once', async () => {
    for (const run of DAYS.slice(0, 2)) await age(run, 8 * DAY);
    const [object] = (await site.manifest(NAME, DAYS[0]))!.objects;
    const body = Buffer.from((await site.stored(object!.key))!.body);
    body.writeUInt8(body.readUInt8(body.length - 12) ^ 1, body.length - 12);
    await putObject(site, object!.key, body);
    assert.deepEqual((await pass()).results, [`${DAYS[0]} different`, `${DAYS[1]} purged`]);
    assert.deepEqual(await left(), [240, 0, 240]);
    assert.deepEqual((await pass()).results, []);
  });

  test('a run whose data has expired is no damage, keeps none from going, and is not made again', async () => {
    const file = await writeConfig({ mayExpireAfter: '9d' });
    await age(DAYS[0], 8 * DAY);
    await age(DAYS[1], 10 * DAY);
    const expire = async (run: string): Promise<void> => {
      for (const { key } of (await site.manifest(NAME, run))!.objects) await removeObject(site, key);
    };
    await expire(DAYS[0]);
    await expire(DAYS[1]);
    const { results, due } = await pass(file);
    assert.deepEqual(results, [`${DAYS[0]} different`], 'it is too young to have expired');
    const [held] = due?.held ?? [];
    assert.deepEqual([held?.failure.code, held?.run], ['purge-expired', DAYS[1]]);
    assert.equal(await purgeByName(DAYS[1], false, file), 'refused purge-expired');
    assert.deepEqual([await make(file), await left()], [[], [240, 240, 240]]);
    assert.equal(await purgeByName(DAYS[2], false, file), 'purged');
    await age(DAYS[2], 10 * DAY);
    await expire(DAYS[2]);
    assert.deepEqual(await make(file), [], 'its rows were purged before');
    await sql(`INSERT INTO events VALUES (1000, '2026-01-03 12:00Z', 'late')`);
    assert.deepEqual(await make(file), [`${DAYS[2]}_2 committed 1`], 'what came late alone');
  });

  test('a run of another database, of another table, or one whose record is none', async () => {
    const { source } = (await site.manifest(NAME, DAYS[0]))!;
    await age(DAYS[0], 8 * DAY, { source: { ...source, systemIdentifier: '1' } });
    await age(DAYS[1], 8 * DAY, { table: 'public.others' });
    await age(DAYS[2], 8 * DAY);
    await putObject(
      site,
      `${PREFIX}${NAME}/run=${DAYS[2]}/_purge.json`,
      Buffer.from('{"format":"pgsluice/purge/1","state":"done"}'),
    );
    const { results, due } = await pass();
    assert.deepEqual(results, [`${DAYS[0]} refused purge-wrong-source`, `${DAYS[1]} refused purge-wrong-source`]);
    assert.deepEqual(
      due?.held.map(({ run, failure }) => `${run} ${failure.code}`),
      [`${DAYS[2]} bad-purge-record`],
    );
    assert.deepEqual(await left(), [240, 240, 240]);
  });

  test('a run that is not committed, or whose windows are others by now', async () => {
    for (const run of DAYS) await age(run, 8 * DAY);
    const key = `${PREFIX}${NAME}/run=${DAYS[0]}/_manifest.json`;
    const manifest = (await site.stored(key))!.body;
    await site.removeRun(NAME, DAYS[0]);
    const window = { column: 'at', every: 'month', from: '2026-01-01' };
    const { results, due } = await pass(await writeConfig({ window }));
    assert.deepEqual([results, due?.held.map(({ run }) => run)], [[], DAYS.slice(1)]);
    assert.deepEqual(await left(), [240, 240, 240]);
    await putObject(site, key, manifest);
  });

  test('anything of a table that sets off more than was accepted: three refusals alike end the pass', async () => {
    for (const run of DAYS) await age(run, 8 * DAY);
    await sql(
      'CREATE TABLE children (event int REFERENCES events ON DELETE CASCADE); CREATE INDEX ON children (event)',
    );
    const { results, log } = await pass();
    assert.deepEqual(
      results,
      DAYS.map((run) => `${run} refused purge-cascades`),
    );
    assert.ok(log.some(({ message }) => message.includes('have ended alike')));
    assert.deepEqual(await left(), [240, 240, 240]);
  });

  test('anything while a run or a restore of that table is in progress, of whatever archive', async () => {
    await age(DAYS[0], 8 * DAY);
    for (const applicationName of [
      'pgsluice others on db2:17',
      'pgsluice restore events/x on db2',
      'pgsluice purge on db2:1',
    ]) {
      const reader = await connectPostgres({ url: site.database.url, applicationName });
      await reader.query('BEGIN');
      await reader.query('LOCK TABLE events IN ACCESS SHARE MODE');
      const { results, stoppedBy } = await pass();
      await endConnection(reader);
      assert.deepEqual(
        [results, stoppedBy],
        [[`${DAYS[0]} stopped run-in-progress`], 'run-in-progress'],
        applicationName,
      );
    }
    assert.deepEqual(await left(), [240, 240, 240]);
    assert.equal(await site.stored(`${PREFIX}${NAME}/run=${DAYS[0]}/_purge.json`), undefined, 'it was not begun');
    const looking = await connectPostgres({ url: site.database.url, applicationName: 'pgsluice windows events' });
    await looking.query('BEGIN');
    await looking.query('LOCK TABLE events IN ACCESS SHARE MODE');
    assert.deepEqual((await pass()).results, [`${DAYS[0]} purged`]);
    await endConnection(looking);
  });

  test('anything while another process has the lock of the archive', async () => {
    await age(DAYS[0], 8 * DAY);
    const loaded = loadConfig(config, site.environment);
    const target = {
      source: loaded.sources['default']!,
      archive: NAME,
      folderUrl: `${loaded.destinations['default']!.url}/${NAME}/`,
    };
    assert.match(lockConnection(target).applicationName, /^pgsluice events on /);
    const holder = await openLock(target);
    const { results, stoppedBy } = await pass();
    await endConnection(holder);
    assert.deepEqual([results, stoppedBy], [[`${DAYS[0]} failed locked`], 'run-in-progress']);
    assert.deepEqual(await left(), [240, 240, 240]);
  });
});

test('nothing is purged outside of the hours of its pace, and its lock is free meanwhile', async () => {
  await age(DAYS[0], 8 * DAY);
  const hour = (new Date().getUTCHours() + 3) % 24;
  const two = (number: number): string => String(number % 24).padStart(2, '0');
  const pace = { between: `${two(hour)}:00-${two(hour + 1)}:00` };
  const began = pass(await writeConfig({ pace }, { maxDuration: '3s' }));
  const loaded = loadConfig(config, site.environment);
  const folderUrl = `${loaded.destinations['default']!.url}/${NAME}/`;
  await endConnection(await openLock({ source: loaded.sources['default']!, archive: NAME, folderUrl }));
  const { results, stoppedBy } = await began;
  assert.deepEqual([results, stoppedBy], [[`${DAYS[0]} stopped maxDuration`], 'maxDuration']);
  assert.deepEqual(await left(), [240, 240, 240]);
});

describe('what the daemon purges', () => {
  test('the runs that are due, oldest window first; what is done is not asked for again', async () => {
    await age(DAYS[1], 20 * DAY);
    await age(DAYS[0], 8 * DAY);
    await sql('UPDATE events SET v = NULL WHERE id = 3');
    const first = await pass();
    assert.deepEqual([first.results, first.purged], [[`${DAYS[0]} purged`, `${DAYS[1]} purged`], 2]);
    assert.deepEqual(await left(), [1, 0, 240]);
    const second = await pass();
    assert.deepEqual([second.results, second.due?.due], [[], []]);
  });

  test('and begins no further run when it is asked to stop between two, or its time is over then', async (t) => {
    for (const run of DAYS) await age(run, 8 * DAY);
    const stop = (stopping: AbortController): void => {
      stopping.abort();
    };
    const asked = await pass(config, undefined, stop);
    assert.deepEqual([asked.results, asked.stoppedBy], [[`${DAYS[0]} purged`], 'asked']);
    const now = performance.now.bind(performance);
    let passedMs = 0;
    const clock = t.mock.method(performance, 'now', () => now() + passedMs);
    const late = await pass(await writeConfig({}, { maxDuration: '1h' }), undefined, () => {
      passedMs = HOUR;
    });
    clock.mock.restore();
    assert.deepEqual(late.results, [`${DAYS[1]} purged`, `${DAYS[2]} stopped maxDuration`]);
    assert.deepEqual(await left(), [0, 0, 240]);
  });

  test('and stops after its batch when it is asked to, or when its time is over; then it goes on where it was', async (t) => {
    for (const run of DAYS) await age(run, 8 * DAY);
    const asked = await pass(config, (stop) => {
      stop.abort();
    });
    assert.deepEqual([asked.results, asked.stoppedBy], [[`${DAYS[0]} stopped asked`], 'asked']);
    const [some = 0] = await left();
    assert.ok(some > 0 && some < 240, `${some} are left`);
    const now = performance.now.bind(performance);
    let passedMs = 0;
    const clock = t.mock.method(performance, 'now', () => now() + passedMs);
    const late = await pass(await writeConfig({}, { maxDuration: '1h' }), () => {
      passedMs = HOUR;
    });
    clock.mock.restore();
    assert.deepEqual([late.results, late.stoppedBy], [[`${DAYS[0]} stopped maxDuration`], 'maxDuration']);
    const rest = await pass();
    assert.deepEqual(
      rest.results,
      DAYS.map((run) => `${run} purged`),
    );
    assert.deepEqual([rest.all[0]?.wentOn, await left()], [true, [0, 0, 0]]);
    assert.ok(
      !rest.log.some(({ message }) => message.includes('have ended alike')),
      'what went well is no cause to end',
    );
    assert.deepEqual(rest.all[0]!.totals, { ...NOTHING, deleted: 240 }, 'what was deleted before it stopped is known');
    assert.deepEqual(rest.all[0]!.totalsBefore, late.all[0]!.totals);
    assert.ok(late.all[0]!.totals.deleted > asked.all[0]!.totals.deleted);
  });
});

/** What `run` makes of the archive now, such as `20260101T000000Z_2 committed 3`. */
async function make(file = config): Promise<string[]> {
  const { stdout } = await commandInProcess(site, file, (invocation) => runCommand(invocation, [NAME], { all: false }));
  return (JSON.parse(stdout) as RunResult[]).map(
    ({ run, status, rows, error }) => `${run} ${error?.code ?? status} ${rows}`,
  );
}

async function restore(run: string, into = 'public.events', file = config) {
  const how = { create: false, onConflict: 'skip', selfReferences: 'ordered' };
  const { code, stdout } = await commandInProcess(site, file, (invocation) =>
    restoreCommand(invocation, NAME, { run, into, ...how }),
  );
  return { code, result: JSON.parse(stdout) as RestoreResult };
}

async function purgeByName(run: string, again = false, file = config): Promise<string> {
  const { stdout } = await commandInProcess(site, file, (invocation) =>
    purgeCommand(invocation, NAME, { runs: [run], execute: true, yes: false, again }),
  );
  const [result] = JSON.parse(stdout) as PurgeResult[];
  return [result?.status, ...new Set(result?.problems.map(({ code }) => code))].join(' ');
}

describe('a window that was purged and holds rows again', () => {
  const [first, second] = DAYS;

  test('gets no further run before its latest one is purged, nor where only that is left which cannot go', async () => {
    await sql(`CREATE TABLE children (event int REFERENCES events); CREATE INDEX ON children (event);
      INSERT INTO children VALUES (7); INSERT INTO events VALUES (1000, '2026-01-01 12:00Z', 'late')`);
    await age(second, 8 * DAY);
    assert.deepEqual(await make(), [], 'nothing of it is purged');
    assert.deepEqual((await pass()).results, [`${second} purged`]);
    assert.deepEqual(await make(), [], 'nothing of it is left');
    // Three purges later, what is referred to waits for a further run.
    assert.equal(await purgeByName(first), 'purged');
    assert.deepEqual(await make(), [], 'the purge is not done');
    for (let round = 0; round < 2; round += 1) assert.equal(await purgeByName(first), 'purged');
    assert.deepEqual(await make(), [`${first}_2 committed 2`]);
    assert.deepEqual(await make(), [], 'the second one is not purged');
    await age(`${first}_2`, 8 * DAY);
    for (let round = 0; round < 3; round += 1) assert.deepEqual((await pass()).results, [`${first}_2 purged`]);
    assert.deepEqual([await left(), await make()], [[1, 0, 240], []], 'what is left is referred to');
    await sql('DELETE FROM children');
    assert.deepEqual(await make(), [], 'as many are left as before');
    await sql(`INSERT INTO events VALUES (1001, '2026-01-01 13:00Z', 'later')`);
    assert.deepEqual(await make(), [`${first}_3 committed 2`]);
  });

  test('gets none without purge: in the config', async () => {
    assert.equal(await purgeByName(first), 'purged');
    await sql(`INSERT INTO events VALUES (1000, '2026-01-01 12:00Z', 'late')`);
    const { purge: _none, ...kept } = { purge: undefined };
    const window = { column: 'at', every: 'day', from: '2026-01-01' };
    const file = await site.writeConfig({
      log: { level: 'silent' },
      archives: { [NAME]: { table: 'events', window, ...kept } },
    });
    assert.deepEqual(await make(file), []);
    assert.deepEqual(await make(), [`${first}_2 committed 1`]);
  });

  test('is archived where many rows came back, and purged by name alone', async () => {
    assert.equal(await purgeByName(first), 'purged');
    await sql(
      `INSERT INTO events SELECT i, timestamptz '2026-01-01Z' + (i - 1) * interval '6 min', md5(i::text) FROM generate_series(1, 240) AS i`,
    );
    assert.deepEqual(await make(), [`${first}_2 committed 240`]);
    await age(`${first}_2`, 8 * DAY);
    const { results, due } = await pass();
    assert.deepEqual(
      [results, due?.held.map(({ run, failure }) => `${run} ${failure.code}`)],
      [[], [`${first}_2 purge-came-back`]],
    );
    assert.deepEqual(await left(), [240, 240, 240]);
    assert.equal(await purgeByName(`${first}_2`), 'purged');
    assert.deepEqual(await left(), [0, 240, 240]);
  });

  test('is never made again where its manifest vanished, by whatever command', async () => {
    assert.equal(await purgeByName(first), 'purged');
    const key = `${PREFIX}${NAME}/run=${first}/`;
    for (const name of await site.keys(NAME))
      if (name.startsWith(key) && !name.endsWith('_purge.json')) await removeObject(site, name);
    // What this host knew of it before is gone as well.
    const fresh = await writeConfig();
    assert.deepEqual(await make(fresh), [`${first} purged-run-lost 0`]);
    const { result } = await runInProcess(site, fresh, NAME, first);
    assert.equal(result.error?.code, 'purged-run-lost');
    const { stdout } = await commandInProcess(site, fresh, (invocation) =>
      listCommand(invocation, NAME, { windows: true }),
    );
    assert.equal((JSON.parse(stdout) as { state: string }[])[0]?.state, 'damaged');
    assert.deepEqual(
      (await site.keys(NAME)).filter((name) => name.startsWith(key)),
      [`${key}_purge.json`],
    );
  });
});

describe('rows that were restored into their own table', () => {
  const [first] = DAYS;

  test('stay: no purge by age or by name takes them, and no further run is made, until one is told to', async () => {
    await age(first, 8 * DAY);
    assert.deepEqual((await pass()).results, [`${first} purged`]);
    assert.deepEqual((await restore(first)).result.status, 'restored');
    assert.deepEqual([await left(), await make()], [[240, 240, 240], []]);
    memory = { done: new Map(), differentAtMs: new Map() };
    for (let slot = 0; slot < 2; slot += 1) assert.deepEqual((await pass()).results, []);
    assert.equal(await purgeByName(first), 'refused purge-done purge-restored');
    assert.deepEqual(await left(), [240, 240, 240]);
    assert.equal(await purgeByName(first, true), 'purged');
    assert.deepEqual(await left(), [0, 240, 240]);
    await sql(`INSERT INTO events VALUES (1000, '2026-01-01 12:00Z', 'late')`);
    assert.deepEqual(await make(), [`${first}_2 committed 1`], 'from then on the window is as any other');
    const dry = await commandInProcess(site, config, (invocation) =>
      purgeCommand(invocation, NAME, { runs: [`${first}_2`], execute: false, yes: false }),
    );
    assert.equal(dry.code, 0, dry.stdout);
    assert.equal((await restore(first)).result.status, 'restored');
    await age(`${first}_2`, 8 * DAY);
    const { due } = await pass();
    assert.deepEqual(
      due?.held.map(({ run, failure }) => `${run} ${failure.code}`),
      [`${first}_2 purge-restored`],
    );
    assert.equal(await purgeByName(`${first}_2`), 'refused purge-restored');
  });

  test('that were never purged stay as well; rows in another table are no matter', async () => {
    await age(first, 8 * DAY);
    await sql('CREATE TABLE elsewhere (LIKE events INCLUDING ALL)');
    assert.equal((await restore(first, 'public.elsewhere')).result.status, 'restored');
    assert.equal(await site.stored(`${PREFIX}${NAME}/run=${first}/_restored.json`), undefined);
    await sql('DELETE FROM events WHERE id <= 3');
    assert.equal((await restore(first)).result.status, 'restored');
    assert.deepEqual([(await pass()).results, await left()], [[], [240, 240, 240]]);
  });

  test('are marked where they go into the table of the run, whatever is named, and never while its window is purged', async () => {
    const { client } = site.database;
    await sql(`CREATE TABLE heir () INHERITS (events); CREATE TABLE elsewhere (LIKE events)`);
    const source = await identifySource(client);
    const mark = async (into: string, changes: object = {}, archive = NAME, run: string = first): Promise<string> => {
      let outcome = 'not marked';
      const markRestored = async (): Promise<void> => {
        outcome = 'marked';
      };
      const folder = { archive, run, markRestored } as unknown as RunFolder;
      const manifest = { table: 'public.events', source: { ...source, ...changes } } as unknown as Manifest;
      try {
        await markOwnTable(client, folder, { into: { schema: 'public', table: into } } as RestoreRequest, manifest);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        outcome += ', refused';
      }
      return outcome;
    };
    assert.equal(await mark('events'), 'marked');
    assert.equal(await mark('heir'), 'marked', 'rows of a partition are rows of its table');
    assert.equal(await mark('events', { systemIdentifier: null }), 'marked', 'who it was cannot be known');
    assert.equal(await mark('elsewhere'), 'not marked');
    assert.equal(await mark('events', { systemIdentifier: '1' }), 'not marked');
    assert.equal(await mark('events', { database: 'another' }), 'not marked');
    const long = 'a'.repeat(60);
    for (const [archive, run, purged] of [
      [NAME, `${first}_2`, first],
      [NAME, first, `${first}_3`],
      [long, first, first],
    ] as const) {
      const purging = { url: site.database.url, applicationName: `pgsluice purge ${archive}/${purged}` };
      const purger = await connectPostgres(purging);
      const outcome = await mark('events', {}, archive, run);
      await endConnection(purger);
      assert.equal(outcome, 'marked, refused', `${run} of ${archive}`);
    }
  });

  test('are taken to be there where the mark cannot be believed', async () => {
    await age(first, 8 * DAY);
    const key = `${PREFIX}${NAME}/run=${first}/_restored.json`;
    await putObject(site, key, Buffer.from('{"format":"pgsluice/restored/1"}'));
    const { results, due } = await pass();
    const held = due?.held.map(({ run, failure }) => `${run} ${failure.code}`);
    assert.deepEqual([results, held], [[], [`${first} purge-restored`]]);
    assert.equal(await purgeByName(first), 'failed');
    assert.deepEqual(await left(), [240, 240, 240]);
  });

  test('are not restored at all where the run cannot be marked, or is being purged', async () => {
    await sql('DELETE FROM events WHERE id <= 3');
    const purging = await connectPostgres({
      url: site.database.url,
      applicationName: `pgsluice purge ${NAME}/${first}`,
    });
    const refused = await restore(first);
    await endConnection(purging);
    assert.deepEqual([refused.code, refused.result.status], [2, 'refused']);
    assert.match(refused.result.problems[0] ?? '', /is in progress/);
    site.proxy.allows = ({ method, key }) => method !== 'PUT' || !key.includes('_restored.json');
    const denied = await restore(first);
    site.proxy.allows = () => true;
    assert.equal(denied.result.status, 'refused', JSON.stringify(denied.result));
    assert.match(denied.result.problems[0] ?? '', /could not be written.*Allow the restore to write/);
    assert.deepEqual(await left(), [237, 240, 240]);
  });
});

describe('attempts to have it take a row that it must not', () => {
  const [first] = DAYS;

  test('a restore that begins while the purge proves: its mark is seen before the first row goes', async () => {
    await sql('DELETE FROM events WHERE id <= 3');
    const loaded = loadConfig(config, site.environment);
    const archive = loaded.archives[NAME] as PurgedArchive;
    const mark = { format: 'pgsluice/restored/1', archive: NAME, run: first, id: 'x', at: new Date().toISOString() };
    const tool = { name: 'pgsluice', version: '1' };
    const body = JSON.stringify({ ...mark, into: 'public.events', database: 'd', host: 'db2', tool });
    const request = { archive, run: first, byAge: false, source: loaded.sources['default']!, execute: true };
    const confirm = async (): Promise<boolean> => {
      await putObject(site, `${PREFIX}${NAME}/run=${first}/_restored.json`, Buffer.from(body));
      return true;
    };
    const context = { config: loaded, log: recordTo([]), signal: new AbortController().signal };
    const result = await purgeRun(context, { ...request, confirm });
    assert.deepEqual([result.status, result.problems.map(({ code }) => code)], ['refused', ['purge-restored']]);
    assert.deepEqual(await left(), [237, 240, 240]);
    // One that cannot be read is one as well.
    await putObject(site, `${PREFIX}${NAME}/run=${first}/_restored.json`, Buffer.from('{}'));
    assert.equal((await purgeRun(context, request)).error?.code, 'bad-purge-record');
    await age(first, 8 * DAY);
    assert.deepEqual((await pass()).results, []);
    assert.deepEqual(await left(), [237, 240, 240]);
  });

  test('what has come to stand against it is seen half a minute later; what --again passes over is none of that', async (t) => {
    await sql('DROP PUBLICATION IF EXISTS sending; CREATE PUBLICATION sending FOR TABLE events');
    const loaded = loadConfig(config, site.environment);
    const { [NAME]: archive } = loaded.archives as Record<string, PurgedArchive>;
    assert.ok(archive !== undefined);
    const purge = { ...archive.purge, accept: ['publications'] as ('publications' | 'triggers')[] };
    const request = { archive: { ...archive, purge }, run: first, byAge: false, source: loaded.sources['default']! };
    const context = { config: loaded, log: recordTo([]), signal: new AbortController().signal };
    const now = performance.now.bind(performance);
    let passedMs = 0;
    t.mock.method(performance, 'now', () => now() + passedMs);
    const wait = (): void => {
      passedMs += 30_000;
    };
    const late = (): void => {
      purge.accept = [];
      wait();
    };
    const { status, error } = await purgeRun({ ...context, onProgress: late }, { ...request, execute: true });
    assert.deepEqual([status, error?.code], ['failed', 'purge-published']);
    const [some = 0] = await left();
    assert.ok(some > 0 && some < 240, `${some} are left`);
    purge.accept = ['publications'];
    assert.equal((await purgeRun(context, { ...request, execute: true })).status, 'purged');
    await sql(
      `INSERT INTO events SELECT i, timestamptz '2026-01-01Z' + (i - 1) * interval '6 min', md5(i::text) FROM generate_series(1, 240) AS i`,
    );
    const anew = await purgeRun({ ...context, onProgress: wait }, { ...request, execute: true, again: true });
    assert.deepEqual([anew.status, anew.wentOn, await left()], ['purged', false, [0, 240, 240]]);
    await sql('DROP PUBLICATION sending');
  });

  test('a lock that is lost: the purge ends after its batch, and goes on when it has the lock again', async () => {
    await age(first, 8 * DAY);
    let cut: Promise<unknown> | undefined;
    // It rests long after its batch: the end of that connection is heard of before the next one.
    const { results } = await pass(await writeConfig({ pace: { share: '1%' } }), () => {
      cut ??= site.terminateBackends('pgsluice events on %');
    });
    await cut;
    assert.deepEqual(results, [`${first} failed session-lost`]);
    const [some = 0] = await left();
    assert.ok(some > 0 && some < 240, `${some} are left`);
    assert.deepEqual((await pass()).results, [`${first} purged`]);
    assert.deepEqual(await left(), [0, 240, 240]);
  });

  test('a manifest that only claims to be old: what was kept of it is not believed, and its age is asked of itself', async () => {
    await age(first, 8 * DAY);
    assert.equal(
      (
        await pass(config, (stop) => {
          stop.abort();
        })
      ).stoppedBy,
      'asked',
    );
    const [before] = await left();
    await age(first, HOUR);
    assert.deepEqual((await pass()).results, [`${first} refused purge-too-young`]);
    assert.deepEqual((await left())[0], before);
  });
});
