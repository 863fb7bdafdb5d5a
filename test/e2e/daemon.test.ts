import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CliProcess, LogLine } from '../support/cli.ts';
import { eventually, happened } from '../support/cli.ts';
import { HTTP, startDaemon } from '../support/daemon.ts';
import { createGatedView, createWideTable, openSite, type Site } from '../support/site.ts';

const EVERY_SECOND = '* * * * * *';
const NEVER = '0 0 1 1 *';

function committed(archive: string): (line: LogLine) => boolean {
  return (line) => line.archive === archive && line.msg === 'run committed';
}

function skipped(line: LogLine): boolean {
  return line['status'] === 'skipped';
}

/** The run that began last: while one of them waits at a gate, that one. */
function lastStarted(cli: CliProcess, name?: string): LogLine | undefined {
  return cli.log.findLast(({ archive, msg }) => msg === 'run starts' && (name === undefined || archive === name));
}

async function stop(cli: CliProcess): Promise<void> {
  cli.kill('SIGTERM');
  const ending = await cli.ended();
  assert.equal(ending.code, 0, ending.stderr);
  assert.ok(cli.log.some(({ msg }) => msg === 'daemon has stopped'));
}

describe('the daemon', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await site.database.client.query('CREATE TABLE events (id int PRIMARY KEY); INSERT INTO events VALUES (1), (2)');
    await createWideTable(site, 'wide', 1500);
  });
  beforeEach(() => {
    site.proxy.reset();
  });

  test('takes a table that comes up with the slot at which it is found, and lets go of one that is gone', async () => {
    const { client } = site.database;
    await client.query('CREATE TABLE log_a (id int PRIMARY KEY)');
    const config = await site.writeConfig({
      archives: { logs: { tables: 'public.log_*', schedule: '*/2 * * * * *' } },
      http: HTTP,
    });
    const daemon = await startDaemon(site, config);
    assert.equal((await daemon.archive('log_a')).name, 'log_a');
    await daemon.cli.waitForLog(committed('log_a'));
    await client.query('CREATE TABLE log_b (id int PRIMARY KEY); INSERT INTO log_b VALUES (1)');
    await daemon.cli.waitForLog(
      ({ msg, archives }) => msg.startsWith('tables were found') && String(archives) === 'log_b',
    );
    const { run = '' } = await daemon.cli.waitForLog(committed('log_b'));
    assert.deepEqual(await site.lines('log_b', run), ['{"id":1}']);
    await client.query('DROP TABLE log_a');
    await daemon.cli.waitForLog(
      ({ msg, archives }) => msg.startsWith('tables are gone') && String(archives) === 'log_a',
    );
    await eventually('log_a is taken out', async () => {
      const { archives } = await daemon.json<{ archives: { name: string }[] }>('/api/state');
      return archives.map(({ name }) => name).join() === 'log_b';
    });
    await daemon.stop();
    const listed = await site.here(['list', '--json'], config);
    const kept = new Set((JSON.parse(listed.stdout) as { archive: string }[]).map(({ archive }) => archive));
    assert.deepEqual([...kept].sort(), ['log_a', 'log_b']);
  });

  test('says that it is ready, runs on schedule under the ids of the slots, and stops with 0', async () => {
    const config = await site.writeConfig({
      archives: {
        often: { table: 'events', schedule: EVERY_SECOND },
        even: { table: 'events', schedule: '*/2 * * * * *', timezone: 'Asia/Kathmandu' },
        never: { table: 'events' },
      },
    });
    const cli = site.start(['daemon'], config);
    const ready = await cli.waitForLog('daemon is ready');
    assert.deepEqual(ready['archives'], 3);
    await cli.waitForLog(committed('often'), 2);
    await cli.waitForLog(committed('even'));
    await stop(cli);
    const runs = cli.log.filter(committed('often')).map(({ run }) => run ?? '');
    assert.deepEqual(runs, [...new Set(runs)].sort());
    for (const run of runs) assert.equal((await site.lines('often', run)).length, 2);
    const even = cli.log.filter(committed('even')).map(({ run }) => run ?? '');
    for (const run of even) {
      assert.match(run, /^\d{8}T\d{5}[02468]Z$/);
      assert.equal((await site.lines('even', run)).length, 2);
    }
    assert.deepEqual(await site.keys('never'), []);
    const ends = cli.log.filter(({ msg }) => /^run (committed|failed|skipped|stopped|was)/.test(msg)).length;
    assert.equal(cli.log.filter(({ msg }) => msg === 'run starts').length + cli.log.filter(skipped).length, ends);
    assert.equal(cli.stdout, '');
    await site.waitForNoBackends();
  });

  test('lets no run of an archive overlap: each slot that comes meanwhile is skipped, with one line', async () => {
    const view = await createGatedView(site, 'slow', 20, 10);
    const config = await site.writeConfig({ archives: { slow: { table: 'slow', schedule: EVERY_SECOND } } });
    const cli = site.start(['daemon'], config);
    await view.reached();
    const first = lastStarted(cli)?.run ?? '';
    await cli.waitForLog((line) => skipped(line) && line['busyWith'] === first && line.archive === 'slow', 2);
    await view.open();
    await cli.waitForLog(committed('slow'), 2);
    await stop(cli);
    const lines = cli.log.filter(skipped);
    const slots = lines.map(({ run }) => run ?? '');
    assert.deepEqual(slots, [...new Set(slots)].sort());
    for (const run of slots) assert.equal(await site.manifest('slow', run), undefined);
    assert.equal((await site.lines('slow', first)).length, 20);
  });

  test('runs more archives than it has threads, one after the other', async () => {
    const names = ['q1', 'q2', 'q3', 'q4', 'q5'];
    const config = await site.writeConfig({
      archives: Object.fromEntries(names.map((name) => [name, { table: 'events', schedule: EVERY_SECOND }])),
      workers: { threads: 1 },
    });
    const cli = site.start(['daemon'], config);
    for (const name of names) await cli.waitForLog(committed(name));
    await stop(cli);
    for (const name of names) {
      const run = cli.log.find(committed(name))?.run ?? '';
      assert.equal((await site.lines(name, run)).length, 2);
    }
    const before = cli.log.slice(
      0,
      cli.log.findIndex(({ msg }) => msg.includes('daemon stops')),
    );
    assert.deepEqual(
      before.filter(({ msg }) => msg === 'run failed'),
      [],
    );
  });

  test('logs a run that fails once, with its hint, and goes on', async () => {
    const config = await site.writeConfig({
      archives: {
        gone: { table: 'gone', schedule: EVERY_SECOND },
        events: { table: 'events', schedule: EVERY_SECOND },
      },
    });
    const cli = site.start(['daemon'], config);
    await cli.waitForLog(({ archive, msg }) => archive === 'gone' && msg === 'run failed', 2);
    await cli.waitForLog(committed('events'));
    await stop(cli);
    const failed = cli.log.filter(({ archive, msg }) => archive === 'gone' && msg === 'run failed');
    assert.equal(new Set(failed.map(({ run }) => run)).size, failed.length);
    for (const line of failed) {
      const error = line['error'] as { code: string; hint: string };
      assert.equal(error.code, 'table-not-found');
      assert.ok(error.hint.length > 0);
    }
  });

  test('takes a new config on SIGHUP: a run in progress ends under the old one, and the changes are logged', async () => {
    const view = await createGatedView(site, 'reloaded', 20, 10);
    const file = await site.writeConfig({
      archives: {
        // A reader does not wait at a gate for long, and is tried again; the reload may take longer on a busy machine.
        reloaded: {
          table: 'reloaded',
          schedule: EVERY_SECOND,
          compression: { codec: 'none' },
          retry: { attempts: 100, backoff: '10ms' },
        },
        removed: { table: 'events', schedule: NEVER },
      },
    });
    const cli = site.start(['daemon'], file);
    await view.reached();
    const first = lastStarted(cli, 'reloaded')?.run ?? '';
    await site.writeConfig(
      {
        archives: {
          reloaded: {
            table: 'reloaded',
            schedule: NEVER,
            compression: { codec: 'gzip' },
            retry: { attempts: 100, backoff: '10ms' },
          },
          added: { table: 'events', schedule: EVERY_SECOND },
        },
        workers: { threads: 3 },
      },
      file,
    );
    cli.kill('SIGHUP');
    const reload = await cli.waitForLog('config reloaded');
    assert.deepEqual((reload['changes'] as string[]).toSorted(), [
      'archives.added: absent -> present',
      'archives.reloaded.compression.codec: "none" -> "gzip"',
      `archives.reloaded.schedule: "${EVERY_SECOND}" -> "${NEVER}"`,
      'archives.removed: present -> absent',
      'workers.threads: 2 -> 3',
    ]);
    await cli.waitForLog(committed('added'), 2);
    await view.open();
    await cli.waitForLog(committed('reloaded'));
    await cli.waitForLog(committed('added'), cli.log.filter(committed('added')).length + 2);
    await stop(cli);
    assert.match((await site.manifest('reloaded', first))?.objects[0]?.key ?? '', /part-00000\.jsonl$/);
    assert.equal((await site.lines('reloaded', first)).length, 20);
    assert.equal(cli.log.filter(committed('reloaded')).length, 1);
    const after = cli.log.slice(cli.log.findIndex(({ msg }) => msg === 'config reloaded'));
    assert.ok(
      after.every(({ archive, run }) => archive !== 'reloaded' || run === undefined || run === first),
      'the old schedule is gone',
    );
    await site.waitForNoBackends();
  });

  test('keeps the old config on SIGHUP with a bad one, and logs all that is wrong with it', async () => {
    const archives = { steady: { table: 'events', schedule: EVERY_SECOND } };
    const file = await site.writeConfig({ archives });
    const cli = site.start(['daemon'], file);
    await cli.waitForLog(committed('steady'));
    await site.writeConfig(
      { archives: { steady: { table: 'events', schedul: NEVER } }, workers: { threads: 0 } },
      file,
    );
    cli.kill('SIGHUP');
    const refused = await cli.waitForLog('the new config is bad');
    const problems = refused['problems'] as string[];
    assert.equal(problems.length, 2, problems.join('\n'));
    assert.ok(problems.every((problem) => problem.startsWith(`${file}:`)));
    await cli.waitForLog(committed('steady'), cli.log.filter(committed('steady')).length + 2);
    await site.writeConfig({ archives: { ...archives, next: { table: 'events', schedule: EVERY_SECOND } } }, file);
    cli.kill('SIGHUP');
    await cli.waitForLog(committed('next'));
    await stop(cli);
  });

  test('on SIGTERM lets the run in progress commit, takes no new one, and exits with 0', async () => {
    const view = await createGatedView(site, 'drained', 20, 10);
    const config = await site.writeConfig({
      archives: {
        drained: { table: 'drained', schedule: EVERY_SECOND },
        waiting: { table: 'drained', schedule: EVERY_SECOND },
      },
      workers: { threads: 1 },
    });
    const cli = site.start(['daemon'], config);
    await view.reached();
    // The other archive may have started by now as well: the one thread works for what was planned first.
    const busy = cli.log.find(({ msg }) => msg === 'run planned');
    // The other archive is in line when a slot of it is skipped.
    await cli.waitForLog((line) => skipped(line) && line.archive !== busy?.archive);
    const started = lastStarted(cli);
    cli.kill('SIGTERM');
    await cli.waitForLog('daemon stops');
    await cli.waitForLog(({ msg }) => msg.includes('dropped before it began'));
    await view.open();
    const ending = await cli.ended();
    assert.equal(ending.code, 0, ending.stderr);
    assert.deepEqual(lastStarted(cli), started);
    assert.equal((await site.lines(busy?.archive ?? '', busy?.run ?? '')).length, 20);
  });

  test('aborts what is still in progress when the drain timeout is over, and exits with 0 all the same', async () => {
    const config = await site.writeConfig({
      archives: { endless: { table: 'wide', schedule: EVERY_SECOND, compression: { codec: 'none' } } },
      drainTimeout: '100ms',
    });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const cli = site.start(['daemon'], config);
    await happened(stalled);
    await stop(cli);
    const failed = cli.log.filter(({ status }) => status === 'failed');
    assert.equal(failed.length, 1);
    assert.equal((failed[0]?.['error'] as { code: string }).code, 'stopped');
    assert.ok(!cli.log.some(({ level }) => level >= 50), 'what was ended from outside is no error');
    assert.ok(cli.log.some(({ msg }) => msg.includes('aborted')));
    await site.assertNothingLeft('endless', failed[0]?.run ?? '');
    await site.waitForNoBackends();
  });

  test('aborts at once on a second SIGTERM', async () => {
    const view = await createGatedView(site, 'impatient', 1500, 1200);
    const config = await site.writeConfig({
      archives: { impatient: { table: 'impatient', schedule: EVERY_SECOND, compression: { codec: 'none' } } },
      drainTimeout: '1h',
    });
    const cli = site.start(['daemon'], config);
    await view.reached();
    cli.kill('SIGTERM');
    await cli.waitForLog('daemon stops');
    await stop(cli);
    const [failed] = cli.log.filter(({ status }) => status === 'failed');
    assert.equal((failed?.['error'] as { code: string }).code, 'stopped');
    await site.assertNothingLeft('impatient', failed?.run ?? '');
    await site.waitForNoBackends();
    await view.open();
  });

  test('plans no other try of a run that fails while it stops, and is gone as soon as it has said so', async () => {
    const view = await createGatedView(site, 'cut_off', 20, 10);
    const config = await site.writeConfig({
      archives: { cut_off: { table: 'cut_off', schedule: EVERY_SECOND, retry: { attempts: 1, backoff: '1ms' } } },
    });
    const cli = site.start(['daemon'], config);
    await view.reached();
    cli.kill('SIGTERM');
    await cli.waitForLog('daemon stops');
    await site.terminateBackends('pgsluice %');
    const failed = await cli.waitForLog('run failed');
    assert.equal(
      (failed['error'] as { transient: boolean }).transient,
      true,
      'else it would not be tried again anyway',
    );
    await cli.waitForLog('daemon has stopped');
    // The pause before another try is a minute.
    const isGone = await Promise.race([cli.ended().then(() => true), sleep(40_000, false, { ref: false })]);
    assert.ok(isGone, cli.stderr);
    assert.equal(cli.log.at(-1)?.msg, 'daemon has stopped');
    await view.open();
  });

  test('takes up at its start the slot that a killed process left, and leaves other archives and other runs alone', async () => {
    const wide = { table: 'wide', compression: { codec: 'none' } };
    const both = { mine: { ...wide, schedule: NEVER }, other: { ...wide, schedule: NEVER }, unscheduled: wide };
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const id = '20260101T000000Z';
    const victim = site.start(
      ['run', '--all', '--run-id', id],
      await site.writeConfig({ archives: both, workers: { threads: 3 } }),
    );
    await happened(stalled);
    await eventually('the uploads are begun', async () => {
      return Object.keys(both).every((archive) => site.pendingUploads(archive).length === 1);
    });
    victim.kill('SIGKILL');
    await victim.ended();
    await site.waitForNoBackends();
    site.proxy.reset();
    await site.leaveUpload('idle', id);
    const archives = { mine: both.mine, unscheduled: wide, idle: { table: 'events' } };
    const cli = site.start(['daemon'], await site.writeConfig({ archives }));
    await cli.waitForLog('aborted an unfinished upload', 2);
    await cli.waitForLog(committed('mine'));
    const left = await cli.waitForLog(({ msg }) => msg.startsWith('unfinished runs are left'));
    await stop(cli);
    assert.deepEqual([left.archive, left['runs'], left['count']], ['unscheduled', [id], 1]);
    assert.equal(await site.manifest('unscheduled', id), undefined);
    assert.equal(site.pendingUploads('unscheduled').length, 1);
    assert.deepEqual(site.pendingUploads('mine'), []);
    assert.deepEqual(site.pendingUploads('idle'), [], 'though there is no run to be taken up');
    assert.equal((await site.lines('mine', id)).length, 1500);
    assert.equal(await site.manifest('other', id), undefined);
    assert.equal(site.pendingUploads('other').length, 1);
  });

  test('takes up at its start the run by hand that it was killed in, as its own history knows of it', async () => {
    const config = await site.writeConfig({
      archives: { asked: { table: 'wide', compression: { codec: 'none' } } },
      http: HTTP,
    });
    const stalled = site.proxy.order('UploadPart', { kind: 'stall' }, 1000);
    const victim = await startDaemon(site, config);
    const { run } = JSON.parse((await victim.post('/api/archives/asked/run')).body) as { run: string };
    await happened(stalled);
    victim.cli.kill('SIGKILL');
    await victim.cli.ended();
    await site.waitForNoBackends();
    site.proxy.reset();
    const cli = site.start(['daemon'], config);
    const { run: takenUp } = await cli.waitForLog(committed('asked'));
    await stop(cli);
    assert.equal(takenUp, run);
    assert.equal((await site.lines('asked', run)).length, 1500);
  });

  test('does not lose a slot that comes while it still looks for what was left', async () => {
    const config = await site.writeConfig({
      archives: { early: { table: 'events', schedule: EVERY_SECOND, catchUp: 'all' } },
    });
    const slow = site.proxy.order('ListMultipartUploads', { kind: 'delay', ms: 2500 }, 1);
    const cli = site.start(['daemon'], config);
    await slow.firstHit;
    await cli.waitForLog(committed('early'), 2);
    await stop(cli);
    const [first, second] = cli.log.filter(({ archive, status }) => archive === 'early' && status !== undefined);
    assert.deepEqual([first?.msg, second?.msg], ['run committed', 'run committed']);
  });

  test('does not start with a bad config, and says all that is wrong', async () => {
    const config = await site.writeConfig({ archives: { a: { table: 'a', query: 'b' } }, workers: { threads: 0 } });
    const ending = await site.run(['daemon'], config);
    assert.equal(ending.code, 2);
    assert.equal(ending.stderr.trimEnd().split('\n').length, 2);
  });
});
