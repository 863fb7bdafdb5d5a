import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { before, beforeEach, describe, test } from 'node:test';
import type { State } from '../../src/daemon/view/state.ts';
import { formatRunId } from '../../src/ledger/run-id.ts';
import { ask, EVERY_SECOND, HTTP, NEVER, startDaemon, TOKEN } from '../support/daemon.ts';
import { testDatabase } from '../support/postgres.ts';
import { putObject } from '../support/segments.ts';
import { createGatedView, openSite, PREFIX, type Site } from '../support/site.ts';

interface HistoryAnswer {
  runs: {
    archive: string;
    run: string;
    status: string;
    rows: number;
    reason: string;
    error: { code: string } | null;
  }[];
}

interface RunAnswer {
  status: string;
  rows: number;
  segments: { index: number; state: string; attempts: number; rows: number }[];
  manifest: { rows: number } | null;
  attempts: unknown[];
}

describe('a daemon that is asked and told', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query('CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events VALUES (1), (2)');
  });
  beforeEach(() => {
    site.proxy.reset();
  });

  test('shows a run in progress, refuses a second one, cancels it cleanly, and keeps all that in its history', async () => {
    const view = await createGatedView(site, 'shown', 1500, 1200);
    const archives = { shown: { table: 'shown', compression: { codec: 'none' } } };
    const daemon = await startDaemon(site, await site.writeConfig({ archives, http: HTTP }));
    assert.equal((await daemon.archive('shown')).state, 'never');

    const started = await daemon.post('/api/archives/shown/run');
    assert.equal(started.status, 202, started.body);
    const { run } = JSON.parse(started.body) as { run: string };
    await view.reached();
    const { current } = await daemon.until('shown', (archive) => (archive.current?.rows ?? 0) > 0);
    assert.equal(current?.run, run);
    assert.equal(current.segments, 1);
    assert.equal(current.status, 'running');
    const state = await daemon.json<State>('/api/state');
    assert.equal(state.canAct, true);
    const [worker] = state.memory.workers;
    assert.ok(worker !== undefined && worker.heapBytes > 0 && worker.heapBytes < worker.heapLimitBytes);
    assert.ok(state.memory.rssBytes < state.memory.rssLimitBytes);
    assert.deepEqual(state.queue, { threads: 2, active: 1, waiting: 0 });
    const live = await daemon.json<RunAnswer>(`/api/runs/shown/${run}`);
    assert.equal(live.status, 'running');
    assert.deepEqual(
      live.segments.map(({ index, state, attempts }) => ({ index, state, attempts })),
      [{ index: 0, state: 'running', attempts: 1 }],
    );
    const metrics = await daemon.get('/metrics');
    assert.match(metrics.body, /^pgsluice_run_snapshot_age_seconds\{archive="shown"\} \d/m);
    assert.match(metrics.body, /^pgsluice_worker_heap_bytes\{slot="0"\} \d/m);

    const second = await daemon.post('/api/archives/shown/run');
    assert.equal(second.status, 409);
    assert.match(second.body, /"code":"busy"/);
    const cancelled = await daemon.post('/api/archives/shown/cancel');
    assert.equal(cancelled.status, 200, cancelled.body);
    assert.equal((await daemon.post('/api/archives/shown/cancel')).status, 409);
    await site.assertNothingLeft('shown', run);
    const ended = await daemon.archive('shown');
    assert.deepEqual([ended.current, ended.failing], [null, false]);

    await view.open();
    const again = await ask(`${daemon.url}/api/archives/shown/run`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ runId: run }),
    });
    assert.equal(again.status, 202, again.body);
    const done = await daemon.until('shown', ({ lastSuccess }) => lastSuccess !== null);
    assert.deepEqual([done.state, done.lastSuccess?.run, done.lastSuccess?.rows], ['ok', run, 1500]);
    const detail = await daemon.json<RunAnswer>(`/api/runs/shown/${run}`);
    assert.deepEqual([detail.status, detail.rows, detail.manifest?.rows], ['committed', 1500, 1500]);
    assert.equal(detail.attempts.length, 2);
    const { runs } = await daemon.json<HistoryAnswer>('/api/history?archive=shown&limit=5');
    assert.deepEqual(
      runs.map(({ status, reason, rows, error }) => [status, reason, rows, error?.code]),
      [
        ['committed', 'ok', 1500, undefined],
        ['failed', 'cancelled', 0, 'cancelled'],
      ],
    );
    const counted = await daemon.get('/metrics');
    assert.match(counted.body, /^pgsluice_runs_total\{archive="shown",status="committed",reason="ok"\} 1$/m);
    assert.match(counted.body, /^pgsluice_runs_total\{archive="shown",status="failed",reason="cancelled"\} 1$/m);
    assert.match(counted.body, /^pgsluice_rows_total\{archive="shown"\} 1500$/m);
    await daemon.stop();
  });

  test('proves again what is archived; a difference is shown, over a restart too, until it is proved good again', async () => {
    const audits = { verify: { schedule: EVERY_SECOND, every: '1s' } };
    const file = await site.writeConfig({ archives: { proved: { table: 'events' } }, audits, http: HTTP });
    const [result] = await site.archiveHere(['proved'], file);
    const run = result?.run ?? '';
    const key = `${PREFIX}proved/run=${run}/part-00000.jsonl.gz`;
    const first = await startDaemon(site, file);
    await first.until('proved', ({ proof }) => proof?.last?.run === run);
    const verified = JSON.parse(
      (await site.stored(key.replace(/part-.*/, '_verified.json')))!.body.toString(),
    ) as object;
    assert.partialDeepStrictEqual(verified, { format: 'pgsluice/verified/1', run, rows: 2, objects: 1 });
    const whole = (await site.stored(key))!.body;
    await putObject(site, key, Buffer.concat([whole.subarray(0, -1), Buffer.from([1])]));
    const { proof } = await first.until('proved', (archive) => archive.proof?.differentRuns === 1);
    assert.equal(proof?.different[0]?.differences[0]?.key, key);
    assert.match((await first.get('/metrics')).body, /^pgsluice_proof_different_runs\{archive="proved"\} 1$/m);
    const { stdout } = await site.here(['status'], file);
    assert.ok(stdout.includes(`${run} differs from its manifest`) && stdout.includes(key), stdout);
    await first.stop();
    const second = await startDaemon(site, file);
    assert.equal((await second.archive('proved')).proof?.differentRuns, 1);
    await putObject(site, key, whole);
    await second.until('proved', (archive) => archive.proof?.differentRuns === 0);
    await second.stop();
  });

  test('rehearses a restore, and tells of a run that does not come back, until it does', async (t) => {
    const scratch = await testDatabase(t);
    const audits = { rehearse: { schedule: EVERY_SECOND, source: 'scratch' }, verify: { schedule: NEVER } };
    const sources = { default: { url: '${DATABASE_URL}' }, scratch: { url: scratch.url } };
    const file = await site.writeConfig({ archives: { back: { table: 'events' } }, sources, audits, http: HTTP });
    const [result] = await site.archiveHere(['back'], file);
    const run = result?.run ?? '';
    const daemon = await startDaemon(site, file);
    await daemon.until('back', ({ rehearsal }) => rehearsal?.last?.status === 'equal');
    // No slot of proofs has come; how they stand is read at the start.
    await daemon.until('back', ({ proof }) => proof?.unproved === 1);
    const key = `${PREFIX}back/run=${run}/part-00000.jsonl.gz`;
    const whole = (await site.stored(key))!.body;
    await putObject(site, key, Buffer.concat([whole.subarray(0, -1), Buffer.from([1])]));
    await daemon.until('back', ({ rehearsal }) => rehearsal?.differentRuns === 1);
    assert.match((await daemon.get('/metrics')).body, /^pgsluice_rehearsal_different_runs\{archive="back"\} 1$/m);
    const { stdout } = await site.here(['status'], file);
    assert.ok(stdout.includes('rehearsals of back') && stdout.includes(`${run} did not come back`), stdout);
    // What another test of this file has archived is not in this config.
    assert.match(
      stdout,
      /\nnot in the config: nothing of these is archived, purged or audited\n(?: .*\n)* {2}proved: 1 run in s3:/,
    );
    await putObject(site, key, whole);
    await daemon.until('back', ({ rehearsal }) => rehearsal?.differentRuns === 0 && rehearsal.rehearsed === 1);
    await daemon.stop();
    const listed = JSON.parse((await site.here(['list', 'back', '--json'], file)).stdout) as { rehearsal: object }[];
    assert.partialDeepStrictEqual(listed, [{ run, rehearsal: { status: 'equal' } }]);
    const { rows } = await scratch.client.query(
      "SELECT relname FROM pg_class WHERE relname LIKE 'pgsluice%' AND relkind = 'r'",
    );
    assert.deepEqual(rows, []);
  });

  test('takes orders over its socket, that only its owner and group may open, and by the commands', async () => {
    const config = await site.writeConfig({ archives: { events: { table: 'events', schedule: NEVER } }, http: HTTP });
    const daemon = await startDaemon(site, config);
    const { mode } = await stat(daemon.socket);
    assert.equal(mode & 0o777, 0o660);
    const overSocket = await ask(`unix:${daemon.socket}:/api/state`, { headers: { Host: 'anything' } });
    assert.equal(overSocket.status, 200);

    const triggered = await site.here(['trigger', 'events', '--run-id', '20261123T021500Z'], config);
    assert.equal(triggered.code, 0, triggered.stderr);
    assert.equal(triggered.stdout, 'events 20261123T021500Z is started\n');
    await daemon.until('events', ({ lastSuccess }) => lastSuccess?.run === '20261123T021500Z');
    const nothingOn = await site.here(['cancel', 'events', '--json'], config);
    assert.equal(nothingOn.code, 1);
    assert.equal((JSON.parse(nothingOn.stdout) as { error: { code: string } }).error.code, 'not-running');
    const paused = await site.here(['pause', 'events', '--url', daemon.url], config, { PGSLUICE_TOKEN: TOKEN });
    assert.equal(paused.code, 0, paused.stderr);
    const status = await site.here(['status'], config);
    assert.match(status.stdout, /^events +paused /m);
    const withoutToken = await site.here(['resume', 'events', '--url', daemon.url], config);
    assert.equal(withoutToken.code, 1);
    assert.match(withoutToken.stderr, /wrong-token[^]*PGSLUICE_TOKEN/);
    const unknown = await site.here(['trigger', 'event'], config);
    assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
    assert.equal((await site.here(['trigger', 'events', '--run-id', 'yesterday'], config)).code, 2);
    await daemon.stop();
    await assert.rejects(stat(daemon.socket), { code: 'ENOENT' });
    const unreachable = await site.here(['status', '--json'], config);
    assert.equal(unreachable.code, 1);
    assert.match(
      unreachable.stderr,
      /^the daemon is not running: nothing listens at .*control\.sock \(not-running\)\n {2}hint /,
    );
    assert.equal((JSON.parse(unreachable.stdout) as { error: { code: string } }).error.code, 'not-running');
  });

  test('keeps an archive paused over a restart, and runs nothing of what passed once it is resumed', async () => {
    const archives = { events: { table: 'events', schedule: EVERY_SECOND } };
    const config = await site.writeConfig({ archives, http: HTTP });
    const first = await startDaemon(site, config);
    await first.cli.waitForLog('run committed');
    assert.equal((await first.post('/api/archives/events/pause')).status, 200);
    await first.cli.waitForLog(({ status, reason }) => status === 'skipped' && reason === 'paused', 2);
    await first.stop();
    const second = await startDaemon(site, config);
    await second.cli.waitForLog(({ status, reason }) => status === 'skipped' && reason === 'paused', 2);
    assert.equal((await second.archive('events')).paused, true);
    assert.ok(!second.cli.log.some(({ msg }) => msg === 'run starts'));
    assert.equal((await second.post('/api/archives/events/resume')).status, 200);
    await second.cli.waitForLog('run committed');
    await second.stop();
    const { log } = second.cli;
    const paused = new Set(log.filter(({ reason }) => reason === 'paused').map(({ run }) => run));
    const begun = log.filter(({ msg }) => msg === 'run starts').map(({ run }) => run);
    assert.deepEqual(
      begun.filter((run) => paused.has(run)),
      [],
    );
    // On a slow machine a slot may pass later on; none of those that came in the pause may count.
    const passed = log.filter(({ msg }) => msg.startsWith('slots have passed'));
    assert.ok(passed.every(({ from }) => !paused.has(formatRunId(new Date(String(from))))));
  });

  test('is read-only without a token, and tells apart that it lives, that it is ready, and that its archives are well', async () => {
    const archives = { gone: { table: 'gone' }, events: { table: 'events' } };
    const config = await site.writeConfig({ archives, http: { listen: '127.0.0.1:0' } });
    const daemon = await startDaemon(site, config);
    const refused = await daemon.post('/api/archives/events/run');
    assert.equal(refused.status, 403);
    assert.match(refused.body, /read-only/);
    assert.equal((await daemon.json<State>('/api/state')).canAct, false);
    assert.equal((await daemon.get('/healthz')).status, 200);
    assert.equal((await daemon.get('/health')).status, 200);
    const ready = await daemon.json<{ checks: { subject: string; ok: boolean }[] }>('/readyz');
    assert.deepEqual(
      ready.checks.map(({ subject, ok }) => [subject, ok]),
      [
        ['sources.default', true],
        ['destinations.default', true],
      ],
    );
    const triggered = await site.here(['trigger', 'gone'], config);
    assert.equal(triggered.code, 0, triggered.stderr);
    const failing = await daemon.until('gone', ({ failing }) => failing);
    assert.deepEqual([failing.state, failing.lastFailure?.code], ['failing', 'table-not-found']);
    assert.ok((failing.lastFailure?.hint ?? '') !== '');
    const health = await daemon.get('/health');
    assert.equal(health.status, 503);
    const { archives: shown } = JSON.parse(health.body) as { archives: { name: string; ok: boolean }[] };
    assert.deepEqual(
      shown.map(({ name, ok }) => [name, ok]),
      [
        ['gone', false],
        ['events', true],
      ],
    );
    assert.equal((await daemon.get('/healthz')).status, 200);
    await daemon.stop();
  });
});
