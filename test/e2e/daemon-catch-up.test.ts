import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { LogLine } from '../support/cli.ts';
import { eventually } from '../support/cli.ts';
import { EVERY_SECOND, HTTP, startDaemon } from '../support/daemon.ts';
import { Receiver } from '../support/receiver.ts';
import { createGatedView, openSite, type Site } from '../support/site.ts';

function committed(line: LogLine): boolean {
  return line.msg === 'run committed';
}

function runsOf(log: readonly LogLine[]): string[] {
  return log.filter(committed).map(({ run }) => run ?? '');
}

describe('a daemon that missed something', () => {
  let site: Site;
  const receiver = new Receiver();
  let receiverUrl: string;

  before(async () => {
    site = await openSite();
    receiverUrl = await receiver.open();
    await site.database.client.query('CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events VALUES (1), (2)');
  });
  beforeEach(() => {
    site.proxy.reset();
    receiver.calls.length = 0;
  });
  after(() => {
    receiver.close();
  });

  test('catches up what passed while it was down, as each archive wants it, and nothing at its very first start', async () => {
    const archives = Object.fromEntries(
      ['last', 'all', 'none'].map((catchUp) => [catchUp, { table: 'events', schedule: EVERY_SECOND, catchUp }]),
    );
    const config = await site.writeConfig({ archives, http: HTTP, workers: { threads: 3 } });
    const startedAt = Date.now();
    const first = await startDaemon(site, config);
    for (const name of ['last', 'all', 'none'])
      await first.cli.waitForLog((line) => committed(line) && line.archive === name);
    await first.stop();
    // On a slow machine a slot may pass later on; none from before the start may count.
    const isOfBefore = (line: LogLine, startMs: number): boolean =>
      line.msg.startsWith('slots have passed') && Date.parse(String(line['from'])) < startMs;
    assert.ok(!first.cli.log.some((line) => isOfBefore(line, startedAt)));
    const lastOf = (name: string): string =>
      runsOf(first.cli.log.filter(({ archive }) => archive === name)).at(-1) ?? '';

    // From now on there are no more slots, only those that passed meanwhile: two, also where the last run is of a slot after
    // which others were left out by the stop.
    const downSince = Date.now();
    await eventually('two slots have passed', async () => Date.now() > downSince + 3000);
    const startedAgainAt = Date.now();
    const second = await startDaemon(site, config);
    const passed = await second.cli.waitForLog((line) => line.archive === 'all' && isOfBefore(line, startedAgainAt));
    const missed = passed['missed'] as number;
    assert.ok(missed >= 2, `${missed} missed`);
    const first_ = Date.parse(timeOf(lastOf('all')));
    const wanted = Array.from({ length: missed }, (_, index) => idOf(first_ + (index + 1) * 1000));
    for (const run of wanted)
      await second.cli.waitForLog((line) => committed(line) && line.archive === 'all' && line.run === run);
    await second.cli.waitForLog((line) => committed(line) && line.archive === 'last', 2);
    await second.cli.waitForLog((line) => committed(line) && line.archive === 'none');
    const metrics = await second.get('/metrics');
    const ofNone = await second.json<{ runs: { trigger: string; status: string }[] }>('/api/history?archive=none');
    await second.stop();

    const ofAll = runsOf(second.cli.log.filter(({ archive }) => archive === 'all'));
    assert.deepEqual(
      ofAll.filter((run) => wanted.includes(run)),
      wanted,
      'oldest first, none left out, under the ids of the slots',
    );
    const until = (name: string): LogLine =>
      second.cli.log.find((line) => line.archive === name && isOfBefore(line, startedAgainAt))!;
    assert.equal(until('last')['caughtUp'], 1);
    const caughtUp = second.cli.log.find(({ archive, run, status }) => {
      return archive === 'last' && status !== undefined && timeOf(run ?? '') === isoOf(until('last')['until']);
    });
    // On a slow machine, the next slot may come before it is begun, and takes its place.
    assert.ok(caughtUp?.status === 'committed' || caughtUp?.['reason'] === 'busy');
    assert.equal(until('none')['caughtUp'], 0);
    assert.ok(ofNone.runs.length > 0);
    // What is left out is said to be.
    assert.ok(ofNone.runs.every(({ trigger, status }) => trigger !== 'catch-up' || status === 'skipped'));
    // On a slow machine, slots that come together later on are caught up as well.
    const [, caughtUpOfAll] = /^pgsluice_catch_ups_total\{archive="all"\} (\d+)$/m.exec(metrics.body) ?? [];
    assert.ok(Number(caughtUpOfAll) >= missed, `${caughtUpOfAll} caught up, ${missed} missed`);
    assert.doesNotMatch(metrics.body, /^pgsluice_catch_ups_total\{archive="none"\}/m);
  });

  test('says so when the endpoint is away, by webhook, ping and page, and again when it is back', async () => {
    const config = await site.writeConfig({
      archives: {
        events: {
          table: 'events',
          schedule: EVERY_SECOND,
          retry: { attempts: 1, backoff: '1ms' },
          ping: `${receiverUrl}/ping/3f1c6e0a-secret-of-the-ping`,
        },
      },
      http: HTTP,
      notify: [
        { url: `${receiverUrl}/hooks/json` },
        { url: `${receiverUrl}/hooks/slack/T0/B0/secretofthewebhook`, format: 'slack', on: ['failure'] },
      ],
    });
    const daemon = await startDaemon(site, config);
    await daemon.cli.waitForLog('run committed');
    await site.proxy.down();
    const failed = await daemon.cli.waitForLog('run failed');
    await eventually('the failure was told', async () => receiver.events().some(({ event }) => event === 'failure'));
    await eventually('Slack was told', async () => receiver.paths('/hooks/slack').length > 0);
    await daemon.until('events', ({ failing }) => failing);
    assert.equal((await daemon.get('/health')).status, 503);
    await site.proxy.up();
    const back = await daemon.cli.waitForLog((line) => committed(line) && (line.run ?? '') > (failed.run ?? ''));
    await eventually('the recovery was told', async () => receiver.events().some(({ event }) => event === 'recovery'));
    await daemon.until('events', ({ failing, late }) => !failing && !late);
    assert.equal((await daemon.get('/health')).status, 200);
    await daemon.stop();

    const [failure, ...rest] = receiver.events().filter(({ event }) => event !== 'late');
    assert.deepEqual([failure?.event, failure?.archive, failure?.run], ['failure', 'events', failed.run]);
    assert.ok(failure?.error !== null);
    assert.equal(rest.find(({ event }) => event === 'recovery')?.run, back.run);
    const slack = receiver.calls.find(({ path }) => path.startsWith('/hooks/slack'));
    assert.match((JSON.parse(slack?.body ?? '') as { text: string }).text, /archive events failed, run \d{8}T\d{6}Z/);
    const pings = receiver.paths('/ping').map((path) => path.replace('/ping/3f1c6e0a-secret-of-the-ping', ''));
    assert.deepEqual(pings.slice(0, 2), ['/start', '']);
    assert.ok(pings.includes('/fail'));
    assert.doesNotMatch(daemon.cli.stderr, /secret-of-the-ping|secretofthewebhook/);
  });

  test('calls an archive late whose run takes longer than its interval, and runs the latest slot after it', async () => {
    const view = await createGatedView(site, 'slow', 20, 10);
    const config = await site.writeConfig({
      archives: { slow: { table: 'slow', schedule: EVERY_SECOND } },
      http: HTTP,
      notify: [{ url: `${receiverUrl}/hooks/json`, on: ['late'] }],
    });
    const daemon = await startDaemon(site, config);
    await view.reached();
    const late = await daemon.until('slow', (archive) => archive.late);
    assert.equal(late.state, 'running');
    // On a slow machine several slots come at once: the oldest is due, and the latest one runs.
    const due = idOf(Date.parse(late.dueSlot ?? ''));
    assert.ok(late.current !== null && due <= late.current.run, due);
    await daemon.cli.waitForLog(({ status }) => status === 'skipped', 2);
    assert.equal((await daemon.archive('slow')).waiting.length, 1);
    assert.equal((await daemon.get('/health')).status, 503);
    assert.match((await daemon.get('/metrics')).body, /^pgsluice_archive_late\{archive="slow"\} 1$/m);
    await view.open();
    await daemon.cli.waitForLog(committed, 2);
    await daemon.until('slow', (archive) => !archive.late);
    await daemon.stop();
    assert.deepEqual(
      receiver
        .events()
        .map(({ event, archive, run }) => [event, archive, run])
        .slice(0, 1),
      [['late', 'slow', late.current.run]],
    );
    const skipped = daemon.cli.log.filter(({ status }) => status === 'skipped').map(({ run }) => run ?? '');
    const [first = '', second = ''] = runsOf(daemon.cli.log);
    const between = skipped.filter((run) => run > first && run < second);
    assert.equal(between.length, (Date.parse(timeOf(second)) - Date.parse(timeOf(first))) / 1000 - 1);
  });
});

function timeOf(run: string): string {
  return run.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z');
}

function idOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');
}

function isoOf(value: unknown): string {
  return new Date(String(value)).toISOString();
}
