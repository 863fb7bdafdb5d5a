import assert from 'node:assert/strict';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { Invocation } from '../../src/commands/invocation.ts';
import { checkCommand } from '../../src/commands/check.ts';
import { listCommand } from '../../src/commands/list.ts';
import { openConfig } from '../../src/commands/invocation.ts';
import { planCommand } from '../../src/commands/plan.ts';
import { planLateCommand, type LateReport } from '../../src/commands/plan-late.ts';
import { restoreCommand } from '../../src/commands/restore.ts';
import { runCommand } from '../../src/commands/run.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { connectPostgres, endConnection } from '../../src/postgres/connect.ts';
import type { RunResult } from '../../src/run/run-archive.ts';
import { nothingMissing } from '../../src/windows/look.ts';
import { openWindowSource, type WindowedArchive } from '../../src/windows/window-source.ts';
import type { WindowsDetail } from '../../src/daemon/view/calendars.ts';
import { eventually, happened } from '../support/cli.ts';
import type { PurgeEnding } from '../../src/daemon/purge-ending.ts';
import type { RunDetail } from '../../src/daemon/view/run-detail.ts';
import { EVERY_SECOND, HTTP, NEVER, startDaemon } from '../support/daemon.ts';
import { commandInProcess } from '../support/in-process.ts';
import { Receiver } from '../support/receiver.ts';
import { putObject } from '../support/segments.ts';
import { openSite, resultsOf, type Site } from '../support/site.ts';

/** Rows of three days of Berlin, each bound included, and of no window at all. */
const ROWS = `
  CREATE TABLE events (id int PRIMARY KEY, created_at timestamptz, day date, at timestamp);
  INSERT INTO events SELECT i, t, (t AT TIME ZONE 'Europe/Berlin')::date, t AT TIME ZONE 'Europe/Berlin' FROM (
    SELECT i, timestamptz '2026-03-28 00:00 Europe/Berlin' + i * interval '1 hour' AS t FROM generate_series(0, 70) AS i) AS rows;
  INSERT INTO events VALUES (1000, 'infinity', 'infinity', 'infinity'), (1001, '-infinity', '-infinity', '-infinity'), (1002, NULL, NULL, NULL)`;

const DAY_MS = 86_400_000;

/** The start of a thread takes longer than what a test has for it to do. */
const ONE_THREAD = { workers: { threads: 1 } };

const IDS = ['20260327T230000Z', '20260328T230000Z', '20260329T220000Z'] as const;

describe('an archive of windows', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query(ROWS);
  });

  for (const [column, ids, from, rows] of [
    ['created_at', IDS, '2026-03-28T23:00:00Z', [24, 23, 24]],
    ['day', ['20260328T000000Z', '20260329T000000Z', '20260330T000000Z'], '2026-03-29', [24, 23, 24]],
    ['at', ['20260328T000000Z', '20260329T000000Z', '20260330T000000Z'], '2026-03-29T00:00:00', [24, 23, 24]],
  ] as const)
    test(`of ${column}: each day of the zone is one run, made once`, async () => {
      const name = `by_${column}`;
      const window = { column, every: 'day', olderThan: '1d' };
      const config = await site.writeConfig({
        ...ONE_THREAD,
        archives: { [name]: { table: 'public.events', timezone: 'Europe/Berlin', window } },
      });
      const first = await site.here(['run', name, '--json'], config);
      assert.equal(first.code, 0, first.stderr);
      const results = resultsOf(first);
      assert.deepEqual(
        results.map(({ run }) => run),
        ids,
      );
      assert.deepEqual(
        results.map(({ rows: count }) => count),
        rows,
      );
      const manifest = await site.manifest(name, ids[1]);
      assert.equal(manifest?.window?.column, column);
      assert.equal(manifest.window.from, from);
      const again = await site.here(['run', name, '--json'], config);
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual(resultsOf(again), []);
    });
});

describe('the windows of an archive', () => {
  let site: Site;
  let config: string;
  const command = async (
    work: (invocation: Invocation) => Promise<number>,
    file = config,
  ): Promise<{ code: number; output: unknown }> => {
    const { code, stdout } = await commandInProcess(site, file, work);
    return { code, output: stdout === '' ? undefined : JSON.parse(stdout) };
  };
  const make = async (request: object = {}): Promise<string[]> => {
    const { output } = await command((invocation) => runCommand(invocation, ['events'], { all: false, ...request }));
    return (output as RunResult[]).map(({ run, status, rows }) => `${run} ${status} ${rows}`);
  };

  before(async () => {
    site = await openSite();
    await site.database.client.query(ROWS);
    const window = { column: 'created_at', every: 'day', olderThan: '1d', from: '2026-03-28' };
    config = await site.writeConfig({
      ...ONE_THREAD,
      state: path.join(site.folder, 'state'),
      log: { level: 'silent' },
      archives: {
        events: { table: 'public.events', timezone: 'Europe/Berlin', window },
        late: {
          query: 'SELECT id, at FROM events WHERE at >= :from AND at < :to',
          window: { ...window, column: 'at' },
        },
        plain: { table: 'public.events' },
      },
    });
  });

  test('are made again where their folder is gone, and only there', async () => {
    assert.equal((await make()).length, 3);
    const [, middle] = IDS;
    await site.removeRun('events', middle);
    assert.deepEqual(await make(), [`${middle} committed 23`]);
    assert.deepEqual(await make(), []);
  });

  test('can be asked for by dates, and made again as a further generation', async () => {
    assert.deepEqual(await make({ from: '2026-03-29', to: '2026-03-30', again: true }), [`${IDS[1]}_2 committed 23`]);
    assert.deepEqual(await make({ from: '2026-03-29', to: '2026-03-30', again: true }), [`${IDS[1]}_3 committed 23`]);
  });

  test('are planned: which, how many, and what lies in none', async () => {
    const { code, output } = await command((invocation) => planCommand(invocation, ['late'], {}));
    assert.equal(code, 0);
    const [report] = output as { missing: object[]; first: { estimatedRows: number } }[];
    assert.deepEqual(report?.missing[0], {
      run: '20260328T000000Z',
      from: '2026-03-28T00:00:00',
      to: '2026-03-29T00:00:00',
    });
    assert.equal(report.missing.length, 3);
    await site.database.client.query('CREATE INDEX ON events (created_at)');
    const { output: counted } = await command((invocation) => planCommand(invocation, ['events'], {}));
    assert.equal((counted as { rowsInNoWindow: number }[])[0]?.rowsInNoWindow, 3);
  });

  test('are counted for rows that came late: how many, where, and what archives them; another filter, or table, is told of', async () => {
    const { client } = site.database;
    await client.query(
      `CREATE TABLE tardy AS SELECT * FROM events WHERE created_at > '-infinity' AND created_at < 'infinity'`,
    );
    const window = { column: 'created_at', every: 'day', olderThan: '1d' };
    const table = { table: 'public.tardy', timezone: 'Europe/Berlin', window };
    const query = 'SELECT id, created_at FROM tardy WHERE created_at >= :from AND created_at < :to AND id > $1';
    const asked = { query, params: [-1], timezone: 'Europe/Berlin', window: { ...window, from: '2026-03-28' } };
    const state = path.join(site.folder, 'tardy');
    const configWith = (changes: object) =>
      site.writeConfig({
        ...ONE_THREAD,
        state,
        log: { level: 'silent' },
        archives: { tardy: { ...table, ...changes }, asked },
      });
    const file = await configWith({});
    const run = (request: object) =>
      command((invocation) => runCommand(invocation, ['tardy', 'asked'], { all: false, ...request }), file);
    const count = async (of = file) =>
      (await command((invocation) => planLateCommand(invocation, [], {}), of)).output as LateReport[];
    await run({});
    const [unindexed] = await count();
    assert.equal(unindexed?.counted, false);
    assert.match(unindexed.warnings.join(), /not counted.*CREATE INDEX CONCURRENTLY/);
    await client.query('CREATE INDEX ON tardy (created_at)');
    assert.deepEqual(
      (await count()).map(({ lateRows, rows, windows }) => [lateRows, rows, windows]),
      [
        [0, 71, 3],
        [0, 71, 3],
      ],
    );
    await client.query(`INSERT INTO tardy VALUES (2000, '2026-03-29 12:00+02'), (2001, '2026-03-30 12:00+02')`);
    await client.query('DELETE FROM tardy WHERE id = 1');
    const [late, ofQuery] = await count();
    assert.deepEqual(
      late?.late.map(({ run: id, expected, rows }) => `${id} ${expected} ${rows}`),
      [`${IDS[1]} 23 24`, `${IDS[2]} 24 25`],
    );
    assert.deepEqual([late.fewer, ofQuery?.lateRows], [{ windows: 1, rows: 1 }, 2]);
    const [from, to] = ['2026-03-28T23:00:00Z', '2026-03-30T22:00:00Z'];
    assert.deepEqual(late.commands, [`pgsluice run tardy --from ${from} --to ${to} --again`]);
    await run({ from, to, again: true });
    assert.deepEqual(
      (await count()).map(({ lateRows }) => lateRows),
      [0, 0],
    );
    const filtered = await configWith({ where: 'id <> 3' });
    assert.deepEqual(
      (await count(filtered)).map(({ incomparable }) => incomparable.map(({ why }) => why)),
      [['filter', 'filter', 'filter'], []],
    );
    const planned = await command((invocation) => planCommand(invocation, ['tardy', 'asked'], {}), filtered);
    const warnings = (planned.output as { warnings: string[] }[]).map((report) => report.warnings.join());
    assert.match(warnings[0] ?? '', /another `where` than that of now made 3 windows/);
    assert.doesNotMatch(warnings[1] ?? '', /than that of now/);
    await client.query('CREATE TABLE hasty (LIKE tardy); INSERT INTO hasty SELECT * FROM tardy');
    const moved = await command(
      (invocation) => planCommand(invocation, ['tardy'], {}),
      await configWith({ table: 'hasty' }),
    );
    const [first] = (moved.output as { warnings: string[] }[]).map((report) => report.warnings.join());
    assert.match(first ?? '', /another `table` than that of now made 3 windows from .* --again does it/);
    const same = await command(
      (invocation) => planCommand(invocation, ['tardy'], {}),
      await configWith({ table: 'tardy' }),
    );
    assert.doesNotMatch(JSON.stringify(same.output), /than that of now/);
  });

  test('are checked: what is to be made, and what is not, or not quickly', async () => {
    const { code, output } = await command((invocation) => checkCommand(invocation, { online: true }));
    const { online } = output as { online: { level: string; subject: string; message: string }[] };
    const said = online
      .filter(({ subject }) => subject.endsWith('.window'))
      .map(({ level, message }) => `${level} ${message}`);
    assert.equal(code, 0, JSON.stringify(online));
    assert.deepEqual(said, [
      'ok 0 windows to make, 5 runs committed',
      'warning 3 rows lie in no window (created_at is NULL, infinite, or not of the years 1 to 9999): never archived',
      'ok 3 windows to make, 0 runs committed',
      'warning rows that lie in no window were not counted',
    ]);
  });

  test('of a query are made with :from and :to', async () => {
    const { output } = await command((invocation) => runCommand(invocation, ['late'], { all: false }));
    assert.deepEqual(
      (output as RunResult[]).map(({ rows }) => rows),
      [24, 23, 24],
    );
  });

  test('are verified by dates', async () => {
    const { code, output } = await command((invocation) => verifyCommand(invocation, 'events', { from: '2026-03-30' }));
    assert.equal(code, 0);
    assert.deepEqual(
      (output as { run: string }[]).map(({ run }) => run),
      [IDS[2]],
    );
    const all = await command((invocation) => verifyCommand(invocation, 'events', { all: true }));
    assert.equal((all.output as unknown[]).length, 5);
    const none = await command((invocation) => verifyCommand(invocation, 'events', { from: '2050-01-01' }));
    assert.deepEqual(none, { code: 3, output: [] }, 'nothing was proved');
  });

  test('are verified until an interrupt: what was printed by then is a document', async () => {
    const stalled = site.proxy.order('GetObject', { kind: 'stall' }, 1, `${IDS[2]}/part-00000.jsonl.gz`);
    const cli = site.start(['verify', 'events', '--all', '--json'], config);
    await happened(stalled);
    cli.kill('SIGINT');
    const { code, stdout } = await cli.ended();
    assert.equal(code, 130);
    assert.ok((JSON.parse(stdout) as { ok: boolean }[]).every(({ ok }) => ok));
  });

  test('come back together; of a window with several generations each row comes once', async () => {
    const options = { into: 'public.back', create: true, onConflict: 'fail', selfReferences: 'refuse', all: true };
    const { code, output } = await command((invocation) => restoreCommand(invocation, 'events', options));
    assert.equal(code, 0, JSON.stringify(output));
    const { rows } = await site.database.client.query(
      'SELECT (SELECT count(*)::int FROM back) AS back, (SELECT count(*)::int FROM events WHERE isfinite(created_at)) AS there',
    );
    assert.deepEqual(rows, [{ back: 71, there: 71 }]);
    await assert.rejects(
      command((invocation) => restoreCommand(invocation, 'events', { ...options, all: undefined } as never)),
      /name a run, or give --from and --to, or --all/,
    );
  });

  test('are made by the daemon at its slots, and again where one is gone; it is then on time, but where one is damaged', async () => {
    const window = { column: 'day', every: 'day', olderThan: '1d' };
    const daily = { table: 'public.events', window, schedule: EVERY_SECOND };
    const archives = { daily, hurt: daily };
    await putObject(site, 'pg/hurt/run=20260329T000000Z/_manifest.json', Buffer.from('{"format":'));
    const daemon = await startDaemon(site, await site.writeConfig({ ...ONE_THREAD, archives, http: HTTP }));
    const days = ['20260328T000000Z', '20260329T000000Z', '20260330T000000Z'];
    const allThere = async (name = 'daily'): Promise<true | undefined> => {
      const keys = await site.keys(name);
      return days.every((day) => keys.includes(`pg/${name}/run=${day}/_manifest.json`)) ? true : undefined;
    };
    await eventually('all windows are there', () => allThere());
    await site.removeRun('daily', '20260329T000000Z');
    await eventually('the window that was gone is there again', () => allThere());
    await daemon.until('daily', ({ state, lastSuccess }) => state === 'ok' && lastSuccess?.run === '20260329T000000Z');
    const hurt = await daemon.until('hurt', ({ failing }) => failing);
    assert.equal(hurt.lastFailure?.run, '20260329T000000Z');
    assert.equal(hurt.lastFailure.code, 'bad-manifest');
    assert.equal(await allThere('hurt'), true);
    const calendar = await daemon.until('daily', ({ windows }) => windows?.last?.counts.archived === 3);
    assert.deepEqual([calendar.windows?.column, calendar.windows?.every], ['day', 'day']);
    const states = ['2026-03-28T00:00:00 archived', '2026-03-29T00:00:00 damaged', '2026-03-30T00:00:00 archived'];
    // Each second a slot looks at the damaged one, which is running meanwhile.
    await eventually('the calendar shows the damaged window', async () => {
      const { windows, counts } = await daemon.json<WindowsDetail>('/api/windows/hurt');
      const shown = windows.slice(0, 3).map(({ local, state }) => `${local} ${state}`);
      return counts.damaged === 1 && shown.join() === states.join() ? true : undefined;
    });
    await daemon.stop();
  });

  test('are left by a daemon that stops in a pause, and made by the next one; partitions as well, also those that come meanwhile', async () => {
    const { client } = site.database;
    await client.query(`
      CREATE TABLE halt (on_purpose bool);
      INSERT INTO halt VALUES (true);
      CREATE TABLE months (id int, at date) PARTITION BY RANGE (at);
      CREATE TABLE months_1 PARTITION OF months FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      INSERT INTO months SELECT i, date '2026-01-01' + i FROM generate_series(0, 30) AS i`);
    const window = { column: 'at', every: 'partition', olderThan: '1d' };
    const pace = { pauseWhile: 'SELECT on_purpose FROM halt' };
    const archives = { months: { table: 'public.months', window, pace, schedule: EVERY_SECOND } };
    // Whoever waited for the drain to pass would wait for too long.
    const config = await site.writeConfig({ ...ONE_THREAD, archives, http: HTTP, drainTimeout: '1h' });
    const first = await startDaemon(site, config);
    await first.until('months', ({ current }) => current?.pause?.reason === 'pause-while');
    await first.stop();
    assert.deepEqual(await site.keys('months'), []);
    await client.query('UPDATE halt SET on_purpose = false');
    const next = await startDaemon(site, config);
    await next.until('months', ({ lastSuccess }) => lastSuccess?.run === '20260101T000000Z');
    await client.query(`
      CREATE TABLE months_2 PARTITION OF months FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO months SELECT i, date '2026-02-01' + i FROM generate_series(0, 27) AS i`);
    await next.until('months', ({ lastSuccess }) => lastSuccess?.run === '20260201T000000Z');
    await next.stop();
    const rows = async (run: string) => (await site.manifest('months', run))?.rows;
    assert.deepEqual([await rows('20260101T000000Z'), await rows('20260201T000000Z')], [31, 28]);
  });

  test('are purged by a daemon once they are old enough; what was done, what stayed and why is told everywhere', async () => {
    await site.database.client
      .query(`CREATE TABLE purged AS SELECT * FROM events WHERE created_at > '-infinity' AND created_at < 'infinity';
      ALTER TABLE purged ADD PRIMARY KEY (id); CREATE INDEX ON purged (created_at)`);
    const window = { column: 'created_at', every: 'day', olderThan: '1d', from: '2026-03-28' };
    const archives = { purged: { table: 'public.purged', window, schedule: NEVER, purge: { after: '7d' } } };
    const file = await site.writeConfig({ ...ONE_THREAD, archives, http: HTTP, log: { level: 'info' } });
    const { output } = await command((invocation) => runCommand(invocation, ['purged'], { all: false }), file);
    const runs = (output as RunResult[]).map(({ run }) => run);
    const days = runs.slice(0, 2);
    for (const run of days) {
      const manifest = { ...(await site.manifest('purged', run)), finishedAt: '2026-04-01T00:00:00.000Z' };
      await putObject(site, `pg/purged/run=${run}/_manifest.json`, Buffer.from(JSON.stringify(manifest)));
    }
    await site.database.client.query('UPDATE purged SET day = NULL WHERE id = 5');
    const daemon = await startDaemon(site, file);
    const { purge } = await daemon.until(
      'purged',
      ({ purge: now }) => now?.last?.run === days[1] && now?.current === null,
    );
    assert.deepEqual([purge?.due, purge?.last?.status, purge?.notPurgeableRuns], [0, 'purged', 0]);
    await daemon.until('purged', ({ lastSuccess }) => lastSuccess?.run === `${days[0]}_2`);
    const { purges } = await daemon.json<{ purges: PurgeEnding[] }>('/api/purges?archive=purged');
    assert.deepEqual(
      purges.map(({ run, status, totals }) => `${run} ${status} ${totals.deleted} ${totals.changed}`),
      [`${days[1]} purged 24 0`, `${days[0]} purged 23 1`],
    );
    const detail = await daemon.json<RunDetail>(`/api/runs/purged/${days[0]}`);
    assert.deepEqual([detail.status, detail.purge?.state, detail.purges.length], ['committed', 'done', 1]);
    const metrics = (await daemon.get('/metrics')).body;
    assert.match(metrics, /pgsluice_purged_rows_total\{archive="purged",outcome="deleted"\} 47\n/);
    assert.match(metrics, /pgsluice_purge_oldest_due_seconds\{archive="purged"\} 0\n/);
    const left = await site.database.client.query('SELECT count(*)::int AS n FROM purged');
    assert.deepEqual(left.rows, [{ n: 24 }]);
    // After the run of the window, it is looked once more for what is due.
    await eventually('status tells of the purge', async () => {
      const { stdout } = await site.here(['status'], file);
      return /purge of purged\n {2}last: \S+ purged, 24 deleted/.test(stdout);
    });
    await daemon.stop();
  });

  test('that are partitions are dropped, detached or refused by a daemon; what went, what stayed and why is told everywhere', async (t) => {
    const { client } = site.database;
    const runs = ['20260101T000000Z', '20260201T000000Z'] as const;
    for (const name of ['dropping', 'detaching'])
      await client.query(`
        CREATE TABLE ${name} (id int, at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
        CREATE TABLE ${name}_2 PARTITION OF ${name} FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z');
        INSERT INTO ${name} SELECT i, timestamptz '2026-01-01Z' + i * interval '1 day' FROM generate_series(0, 58) AS i`);
    await client.query('CREATE VIEW looking AS SELECT * FROM dropping_2');
    const receiver = new Receiver();
    const url = await receiver.open();
    t.after(() => {
      receiver.close();
    });
    const window = { column: 'at', every: 'partition', olderThan: '1d' };
    const archiveOf = (then: string) => ({ window, schedule: NEVER, purge: { after: '7d', then } });
    const archives = {
      dropping: { table: 'public.dropping', ...archiveOf('drop') },
      detaching: { table: 'public.detaching', ...archiveOf('detach') },
    };
    const notify = [{ url: `${url}/hooks/json` }];
    const file = await site.writeConfig({ ...ONE_THREAD, archives, notify, http: HTTP, log: { level: 'info' } });
    await command((invocation) => runCommand(invocation, [], { all: true }), file);
    for (const name of ['dropping', 'detaching'])
      for (const run of runs) {
        const manifest = { ...(await site.manifest(name, run)), finishedAt: '2026-04-01T00:00:00.000Z' };
        await putObject(site, `pg/${name}/run=${run}/_manifest.json`, Buffer.from(JSON.stringify(manifest)));
      }

    const daemon = await startDaemon(site, file);
    const { purge: dropping } = await daemon.until(
      'dropping',
      ({ purge }) => purge?.last?.run === runs[1] && purge.current === null,
    );
    const { purge: detaching } = await daemon.until(
      'detaching',
      ({ purge }) => purge?.last?.run === runs[1] && purge.current === null,
    );
    assert.deepEqual([dropping?.last?.status, dropping?.due, dropping?.notPurgeableRuns], ['refused', 1, 1]);
    assert.deepEqual(
      dropping?.notPurgeable.map(({ run, code }) => `${run} ${code}`),
      [`${runs[1]} partition-depended-on`],
    );
    assert.deepEqual([detaching?.last?.status, detaching?.due, detaching?.notPurgeableRuns], ['purged', 0, 0]);
    const { rows: left } = await client.query(`
      SELECT to_regclass('dropping_1') IS NULL AS dropped, (SELECT count(*)::int FROM looking) AS refused,
        (SELECT count(*)::int FROM detaching) AS attached, (SELECT count(*)::int FROM detaching_1) AS detached`);
    assert.deepEqual(left, [{ dropped: true, refused: 28, attached: 0, detached: 31 }]);

    const told = async (name: string) => {
      const { purges } = await daemon.json<{ purges: PurgeEnding[] }>(`/api/purges?archive=${name}`);
      const rows = purges.map(({ run, status, reason, lines, totals }) =>
        [run, status, reason, `${totals.deleted}/${lines}`].join(' '),
      );
      // What was refused may have been looked at again, as after each purge it is looked what is due.
      return [...new Set(rows)].sort();
    };
    assert.deepEqual(await told('dropping'), [
      `${runs[0]} purged ok 31/31`,
      `${runs[1]} refused partition-depended-on 0/28`,
    ]);
    assert.deepEqual(await told('detaching'), [`${runs[0]} purged ok 31/31`, `${runs[1]} purged ok 28/28`]);
    const detail = async (name: string, run: string) => daemon.json<RunDetail>(`/api/runs/${name}/${run}`);
    assert.deepEqual((await detail('dropping', runs[0])).purge?.partition, {
      name: 'public.dropping_1',
      state: 'dropped',
    });
    assert.deepEqual((await detail('detaching', runs[0])).purge?.partition, {
      name: 'public.detaching_1',
      state: 'detached',
    });
    const refused = await detail('dropping', runs[1]);
    assert.deepEqual([refused.purge, refused.purges[0]?.problems[0]?.code], [null, 'partition-depended-on']);
    const metrics = (await daemon.get('/metrics')).body;
    for (const line of [
      'pgsluice_purged_rows_total{archive="dropping",outcome="deleted"} 31',
      'pgsluice_purged_rows_total{archive="detaching",outcome="deleted"} 59',
      'pgsluice_purge_not_purgeable_runs{archive="dropping"} 1',
      'pgsluice_purge_due_runs{archive="dropping"} 1',
      'pgsluice_purge_oldest_due_seconds{archive="detaching"} 0',
    ])
      assert.ok(metrics.includes(`${line}\n`), `${line} in ${metrics.replaceAll(/^(?!pgsluice_purge).*\n/gm, '')}`);
    assert.match(
      metrics,
      /pgsluice_purges_total\{archive="dropping",status="refused",reason="partition-depended-on"\} [1-9]/,
    );
    assert.match(metrics, /pgsluice_purge_oldest_due_seconds\{archive="dropping"\} [1-9]/);

    await eventually('the refusal was told', async () => receiver.events().length > 0);
    assert.deepEqual(
      receiver.events().map(({ event, archive, run, error }) => [event, archive, run, error?.code].join(' ')),
      [`failure dropping ${runs[1]} partition-depended-on`],
    );
    const { stdout } = await site.here(['status'], file);
    assert.match(stdout, /purge of detaching\n[^]* {2}last: 20260201T000000Z purged, 28 deleted/);
    assert.match(stdout, /purge of dropping\n[^]*20260201T000000Z[^]*looking depends on/);
    const states = async (name: string) => {
      const { windows } = await daemon.json<WindowsDetail>(`/api/windows/${name}`);
      return windows.map(({ state }) => state);
    };
    await eventually('the calendar shows it', async () => (await states('dropping')).join() === 'purged,archived');
    await daemon.stop();
  });

  test('stand where a manifest is cut, and are named; the others are made, and the damaged one as a further generation', async () => {
    const window = { column: 'created_at', every: 'day', olderThan: '1d', from: '2026-03-28' };
    const archives = { cut: { table: 'public.events', timezone: 'Europe/Berlin', window } };
    const file = await site.writeConfig({ ...ONE_THREAD, log: { level: 'silent' }, archives });
    const run = async (request: object = {}) => {
      const work = (invocation: Invocation) => runCommand(invocation, ['cut'], { all: false, ...request });
      const { code, output } = await command(work, file);
      const results = output as RunResult[];
      const said = results.map(({ run: id, status, error }) => `${id} ${error?.code ?? status}`);
      return { code, said, error: results.at(-1)?.error };
    };
    const states = async () => {
      const work = (invocation: Invocation) => listCommand(invocation, 'cut', { windows: true });
      const { output } = await command(work, file);
      return (output as { state: string }[]).slice(0, 3).map(({ state }) => state);
    };
    const isComplete = async (): Promise<boolean> => {
      let isAll = false;
      await command(async (invocation) => {
        const opened = openConfig(invocation);
        isAll = await nothingMissing(opened, opened.archives['cut']!);
        return 0;
      }, file);
      return isAll;
    };
    const verified = async () => {
      const work = (invocation: Invocation) => verifyCommand(invocation, 'cut', { all: true });
      const { code, output } = await command(work, file);
      return { code, ok: (output as { ok: boolean }[]).map(({ ok }) => ok) };
    };
    const [first, hurt, last] = IDS;
    await run({ runId: hurt });
    const key = `pg/cut/run=${hurt}/_manifest.json`;
    const whole = await site.stored(key);
    assert.ok(whole !== undefined);
    await putObject(site, key, whole.body.subarray(0, whole.body.length / 2));

    const made = await run();
    assert.deepEqual(made.said, [`${first} committed`, `${last} committed`, `${hurt} bad-manifest`]);
    assert.equal(made.code, 1);
    assert.deepEqual((await run()).said, [`${hurt} bad-manifest`]);
    assert.deepEqual((await run({ from: '2026-03-30' })).said, []);
    assert.deepEqual(await states(), ['archived', 'damaged', 'archived']);
    assert.deepEqual(await verified(), { code: 3, ok: [true, false, true] });
    assert.equal(await isComplete(), false);
    const { output } = await command((invocation) => planCommand(invocation, ['cut'], {}), file);
    const [plan] = output as { warnings: string[] }[];
    assert.match(plan?.warnings.join() ?? '', new RegExp(`1 committed run .*${hurt} \\(bad-manifest\\)`));
    const options = { into: 'public.cut', create: true, onConflict: 'fail', selfReferences: 'refuse', all: true };
    await assert.rejects(
      command((invocation) => restoreCommand(invocation, 'cut', options), file),
      /is no manifest/,
    );

    const [, from, to] = / --from (\S+) --to (\S+) --again /.exec(made.error?.hint ?? '') ?? [];
    assert.deepEqual((await run({ from, to, again: true })).said, [`${hurt}_2 committed`]);
    assert.deepEqual(await run(), { code: 0, said: [], error: undefined });
    assert.deepEqual(await states(), ['archived', 'archived', 'archived']);
    assert.equal(await isComplete(), true);
    await putObject(site, key, whole.body);
    assert.deepEqual(await verified(), { code: 0, ok: [true, true, true, true] });
  });

  test('are held open by whoever writes, whatever he calls himself: by a restore, and by another role with our name', async (t) => {
    const { client, name, url } = site.database;
    const role = `${name}_writer`;
    await client.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'writer'`);
    const other = new URL(url);
    [other.username, other.password] = [role, 'writer'];
    const ours = await connectPostgres({ url, applicationName: 'pgsluice windows held' });
    t.after(() => endConnection(ours));
    const archive = { table: 'public.events', timezone: 'UTC', window: { column: 'created_at', every: 'day' } };
    const holds = async (from: string, applicationName: string): Promise<boolean> => {
      const writer = await connectPostgres({ url: from, applicationName });
      try {
        await writer.query('BEGIN');
        const { clock } = await openWindowSource(ours, archive as unknown as WindowedArchive);
        return clock.oldestOpen !== undefined;
      } finally {
        await endConnection(writer);
      }
    };
    assert.deepEqual(
      [
        await holds(url, 'pgsluice held/20260327T230000Z/0'),
        await holds(url, 'pgsluice restore held/20260327T230000Z on host'),
        await holds(other.href, 'pgsluice held/20260327T230000Z/0'),
      ],
      [false, true, true],
    );
    await client.query(`DROP ROLE ${role}`);
  });

  test('that fail keep no later one from being made, unless three in a row fail alike: then the next go tries all again', async () => {
    const { client } = site.database;
    await client.query(`
      CREATE TABLE fragile AS SELECT i AS id, date '2026-03-01' + i AS day FROM generate_series(0, 4) AS i;
      CREATE TABLE broken_days (pattern text);
      INSERT INTO broken_days VALUES ('/2026030[1-4]T');
      CREATE FUNCTION holds_up() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('application_name') ~ (SELECT pattern FROM broken_days) THEN RAISE EXCEPTION 'a broken day'; END IF;
        RETURN true; END $$`);
    const window = { column: 'day', every: 'day', olderThan: '1d' };
    const archives = { fragile: { table: 'public.fragile', where: 'holds_up()', window, retry: { attempts: 1 } } };
    const file = await site.writeConfig({ archives, log: { level: 'silent' } });
    const make = async (pattern?: string) => {
      if (pattern !== undefined) await client.query('UPDATE broken_days SET pattern = $1', [pattern]);
      const { code, output } = await command((invocation) => runCommand(invocation, ['fragile'], { all: false }), file);
      return [code, ...(output as RunResult[]).map(({ run, status }) => `${run.slice(6, 8)} ${status}`)];
    };
    assert.deepEqual(await make(), [1, '01 failed', '02 failed', '03 failed']);
    const made = [1, '01 committed', '02 failed', '03 failed', '04 committed', '05 committed'];
    assert.deepEqual(await make('/2026030[23]T'), made);
    assert.deepEqual(await make('none'), [0, '02 committed', '03 committed']);
  });

  test('are each made once by two that are at it together, and go on where one of them was killed', async () => {
    const window = { column: 'created_at', every: 'day', olderThan: '1d', from: '2026-03-28' };
    const table = { table: 'public.events', timezone: 'Europe/Berlin', window };
    const file = await site.writeConfig({ log: { level: 'silent' }, archives: { shared: table, killed: table } });
    const both = (name: string) => {
      const work = (invocation: Invocation) => runCommand(invocation, [name], { all: false });
      return Promise.all([command(work, file), command(work, file)]);
    };
    const committedBy = (ended: { output: unknown }[]): string[] =>
      ended
        .flatMap(({ output }) => output as RunResult[])
        .filter(({ status }) => status === 'committed')
        .map(({ run }) => run)
        .sort();
    assert.deepEqual(committedBy(await both('shared')), IDS);

    const [, second] = IDS;
    const { length } = site.proxy.requests;
    const isBegun = (): boolean =>
      site.proxy.requests.slice(length).some(({ key, operation }) => operation === 'PutObject' && key.includes(second));
    const child = site.start(['run', 'killed'], file);
    await eventually('the second window is begun', async () => isBegun());
    child.kill('SIGKILL');
    await child.ended();
    await site.waitForNoBackends();
    const made = (await site.keys('killed')).filter((key) => key.endsWith('/_manifest.json')).length;
    const left = committedBy(await both('killed'));
    assert.deepEqual(left, IDS.slice(made));
    assert.ok(made < IDS.length, 'it was killed too late');
  });

  test('that are partitions are read one by one, with all that is below each; what is in no window is counted', async () => {
    const { client } = site.database;
    await client.query(`
      CREATE TABLE parts (gone int, id int NOT NULL, at timestamptz, note text) PARTITION BY RANGE (at);
      ALTER TABLE parts DROP COLUMN gone;
      CREATE TABLE parts_jan PARTITION OF parts FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
      CREATE TABLE parts_other (note text, at timestamptz, id int NOT NULL);
      ALTER TABLE parts ATTACH PARTITION parts_other FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-02-03 12:00+00');
      CREATE TABLE parts_sub PARTITION OF parts FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00')
        PARTITION BY HASH (id);
      CREATE TABLE parts_sub_0 PARTITION OF parts_sub FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE parts_sub_1 PARTITION OF parts_sub FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      CREATE TABLE parts_first PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2026-01-01 00:00+00');
      CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
      INSERT INTO parts (id, at, note) SELECT i, timestamptz '2025-12-31 20:00+00' + i * interval '1 hour', 'n' || i
        FROM generate_series(0, 2400) AS i;
      INSERT INTO parts (id, at) VALUES (-1, NULL), (-2, 'infinity')`);
    const window = { column: 'at', every: 'partition', olderThan: '1d' };
    const table = { table: 'public.parts', timezone: 'Europe/Berlin' };
    const file = await site.writeConfig({
      ...ONE_THREAD,
      log: { level: 'silent' },
      archives: { parts: { ...table, where: 'parts.id >= -2', window } },
    });
    const run = async (work: (invocation: Invocation) => Promise<number>) => command(work, file);
    const make = async (request: object = {}) => {
      const { output } = await run((invocation) => runCommand(invocation, ['parts'], { all: false, ...request }));
      return (output as RunResult[]).map(({ run: id, rows, error }) => `${id} ${error?.message ?? rows}`);
    };
    const { output: planned } = await run((invocation) => planCommand(invocation, ['parts'], {}));
    const [plan] = planned as { rowsInNoWindow: number; missing: { run: string }[]; warnings: string[] }[];
    const ids = ['20260101T000000Z', '20260201T000000Z', '20260301T000000Z'];
    assert.deepEqual([plan?.missing.map(({ run: id }) => id), plan?.rowsInNoWindow], [ids, 4 + 612 + 237 + 2]);
    assert.match(plan?.warnings.join() ?? '', /in public.parts_first, public.parts_rest, which are default/);

    assert.deepEqual(await make({ from: '2026-02-02', to: '2026-02-03' }), [`${ids[1]} 60`]);
    assert.deepEqual(await make(), [`${ids[0]} 744`, `${ids[2]} 744`]);
    assert.deepEqual(await make(), []);
    const manifest = await site.manifest('parts', ids[1] ?? '');
    const { rows: oids } = await client.query(`SELECT 'parts_other'::regclass::oid::int AS oid`);
    assert.deepEqual(manifest?.partition, {
      name: 'public.parts_other',
      oid: (oids[0] as { oid: number }).oid,
      bound: "FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-02-03 12:00:00+00')",
    });
    assert.deepEqual([manifest.table, manifest.window?.to], ['public.parts', '2026-02-03T12:00:00Z']);
    assert.deepEqual(
      manifest.columns.map(({ name }) => name),
      ['id', 'at', 'note'],
    );

    await client.query(`
      ALTER TABLE parts DETACH PARTITION parts_jan;
      CREATE TABLE parts_jan_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-01-02 00:00+00');
      INSERT INTO parts_jan_1 SELECT * FROM parts_jan WHERE at < '2026-01-02 00:00+00'`);
    assert.deepEqual(await make(), [`${ids[0]}_2 24`]);
    const { output: listed } = await run((invocation) => listCommand(invocation, 'parts', { windows: true }));
    assert.deepEqual(
      (listed as { state: string }[]).map(({ state }) => state),
      ['archived', 'archived', 'archived'],
    );
    const { code } = await run((invocation) => verifyCommand(invocation, 'parts', { all: true }));
    assert.equal(code, 0);
    const options = { into: 'public.parts_back', create: true, onConflict: 'fail', selfReferences: 'refuse' };
    const restored = await run((invocation) =>
      restoreCommand(invocation, 'parts', { ...options, from: '2026-02-02', to: '2026-05-01' }),
    );
    assert.equal(restored.code, 0, JSON.stringify(restored.output));
    const { rows } = await client.query(`
      SELECT count(*)::int AS back, count(*) FILTER (WHERE p IS NOT DISTINCT FROM b)::int AS alike
      FROM parts_back b LEFT JOIN (SELECT id, at, note FROM parts) p USING (id)`);
    assert.deepEqual(rows, [{ back: 804, alike: 804 }]);
  });

  for (const [how, key] of [
    ['by list', 'LIST (at)'],
    ['by hash', 'HASH (at)'],
    ['by an expression', "RANGE ((at + interval '1 day'))"],
    ['by several columns', 'RANGE (at, id)'],
    ['by another column', 'RANGE (id)'],
    ['not at all', undefined],
  ] as const)
    test(`that are partitions are refused where the table is partitioned ${how}`, async () => {
      const name = `cut_${how.replaceAll(' ', '_')}`;
      const partitioned = key === undefined ? '' : `PARTITION BY ${key}`;
      await site.database.client.query(`CREATE TABLE ${name} (id int, at timestamp) ${partitioned}`);
      const archives = { cut: { table: `public.${name}`, window: { column: 'at', every: 'partition' } } };
      const file = await site.writeConfig({ ...ONE_THREAD, log: { level: 'silent' }, archives });
      const { code, output } = await command((invocation) => planCommand(invocation, ['cut'], {}), file);
      const [report] = output as { error: { code: string; hint: string } }[];
      assert.deepEqual([code, report?.error.code], [2, 'window-partition']);
      assert.match(report?.error.hint ?? '', /window\.every to day/);
    });

  test('of a partitioned table name an index that can be made there', async (t) => {
    const { client, url } = site.database;
    await client.query('CREATE TABLE bare (id int, day date) PARTITION BY RANGE (id)');
    const ours = await connectPostgres({ url, applicationName: 'test' });
    t.after(() => endConnection(ours));
    const archive = { table: 'public.bare', timezone: 'UTC', window: { column: 'day', every: 'day' } };
    const { createIndex = '' } = await openWindowSource(ours, archive as unknown as WindowedArchive);
    assert.equal(createIndex, 'CREATE INDEX ON "public"."bare" ("day")');
    await client.query(createIndex);
    const { createIndex: another } = await openWindowSource(ours, archive as unknown as WindowedArchive);
    assert.equal(another, undefined);
  });

  test('of several runs and without a key are not restored together, and nothing is written', async () => {
    const { client } = site.database;
    await client.query(
      `CREATE TABLE keyless AS SELECT id, created_at AS at FROM events WHERE id IN (0, 1, 30); CREATE INDEX ON keyless (at)`,
    );
    const window = { column: 'at', every: 'day', olderThan: '1d' };
    const file = await site.writeConfig({
      ...ONE_THREAD,
      log: { level: 'silent' },
      archives: { keyless: { table: 'public.keyless', window } },
    });
    const run = (request: object) =>
      command((invocation) => runCommand(invocation, ['keyless'], { all: false, ...request }), file);
    const restore = (choice: object) => {
      const options = { into: 'public.keyed', create: false, onConflict: 'fail', selfReferences: 'refuse', ...choice };
      return command((invocation) => restoreCommand(invocation, 'keyless', options), file);
    };
    const restored = async (): Promise<number[]> =>
      (await client.query<{ id: number }>('SELECT id FROM keyed ORDER BY id')).rows.map(({ id }) => id);
    await run({});
    await client.query('CREATE TABLE keyed (LIKE keyless)');
    await run({ to: '2026-03-28', again: true });
    await assert.rejects(restore({ all: true }), /has several runs, and the archive has no key/);
    assert.deepEqual(await restored(), []);
    const [key = ''] = (await site.keys('keyless')).filter((one) => one.includes('run=20260329T000000Z/part-'));
    const object = `${site.proxy.endpoint}/archive/${key}`;
    const content = await (await fetch(object)).arrayBuffer();
    await fetch(object, { method: 'DELETE' });
    const { code, output } = await restore({ from: '2026-03-28' });
    assert.equal(code, 1, 'the second one is refused, and the first one is back');
    assert.deepEqual(
      (output as { status: string }[]).map(({ status }) => status),
      ['restored', 'refused'],
    );
    assert.deepEqual(await restored(), [1]);
    await fetch(object, { method: 'PUT', body: content });
    const again = await restore({ from: '2026-03-28' });
    assert.equal(again.code, 0, JSON.stringify(again.output));
    assert.deepEqual(
      (again.output as { rows: number; resumed: boolean }[]).map(({ rows, resumed }) => [rows, resumed]),
      [
        [1, true],
        [1, false],
      ],
      'the same command goes on behind the first window',
    );
    assert.deepEqual(await restored(), [1, 30]);
    const { rows: records } = await client.query("SELECT FROM pg_class WHERE relname ~ '^pgsluice_restore_'");
    assert.deepEqual(records, []);
  });

  test('are not asked for where there are none', async () => {
    await assert.rejects(
      command((invocation) => runCommand(invocation, ['plain'], { all: false, from: '2026-01-01' })),
      /--from is for archives with window:, and plain has none/,
    );
    await assert.rejects(
      command((invocation) => runCommand(invocation, ['plain'], { all: false, runId: `${IDS[0]}_2` })),
      /is no archive of windows/,
    );
  });

  test('a run id that begins no window names the one that does', async () => {
    const { output } = await command((invocation) =>
      runCommand(invocation, ['events'], { all: false, runId: '20260328T120000Z' }),
    );
    const [result] = output as RunResult[];
    assert.equal(result?.error?.code, 'no-window');
    assert.match(result.error.hint, /20260327T230000Z/);
  });

  test('one that is named before it is over is not archived, as later rows of it would be nowhere', async () => {
    const tomorrow = new Date(Date.now() + DAY_MS).toISOString().slice(0, 10);
    await site.database.client.query(
      `CREATE TABLE coming (id int PRIMARY KEY, at timestamptz);
       INSERT INTO coming VALUES (1, '${tomorrow} 00:00:00+00'), (2, '2026-01-01 00:00:00+00')`,
    );
    const file = await site.writeConfig({
      ...ONE_THREAD,
      archives: { coming: { table: 'public.coming', window: { column: 'at', every: 'day', olderThan: '36500d' } } },
    });
    const named = async (runId: string): Promise<RunResult | undefined> => {
      const { output } = await command((invocation) => runCommand(invocation, ['coming'], { all: false, runId }), file);
      return (output as RunResult[])[0];
    };
    const run = `${tomorrow.replaceAll('-', '')}T000000Z`;
    const open = await named(run);
    assert.equal(open?.error?.code, 'window-open');
    assert.match(open.error.message, /is not over/);
    assert.equal(await site.manifest('coming', run), undefined);
    assert.equal((await named('20260101T000000Z'))?.rows, 1, 'it is over, though younger than olderThan');
  });
});
