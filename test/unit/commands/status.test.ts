import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { statusCommand } from '../../../src/commands/status.ts';
import type { ProofStanding } from '../../../src/daemon/audits.ts';
import type { State } from '../../../src/daemon/view/state.ts';
import { FakeDaemon } from '../../support/fake-daemon.ts';
import { commandOfFile } from '../../support/in-process.ts';
import { archiveOf, at, FAILURE, type FakeArchive, runningRun } from '../../support/page-facts.ts';

async function statusOf(
  t: TestContext,
  archives: FakeArchive[],
  json = false,
): Promise<{ code: number; stdout: string }> {
  const daemon = new FakeDaemon({ archives });
  const url = await daemon.start();
  t.after(() => daemon.stop());
  return commandOfFile('none', {}, (invocation) => statusCommand({ ...invocation, json }, { url }));
}

const LATE = { dueSlot: new Date('2026-11-26T02:15:00Z') };
const failing = archiveOf(
  'failing',
  {
    health: 'failing',
    lastFailure: { ...FAILURE, at: '2026-11-26T02:16:00.000Z' },
    failures: { count: 3, since: '2026-11-24T02:16:00.000Z' },
  },
  { nextTry: { run: FAILURE.run, at: at(250) } },
);
const late = archiveOf('late', { schedule: 'late' }, LATE);
const paused = archiveOf('paused', { schedule: 'paused' });
const standby = archiveOf('standby', {}, { current: { ...runningRun('standby'), state: 'standby', progress: undefined, holder: 'db1' } }); // prettier-ignore

const DIFFERENCE = {
  foundAt: at(-60).toISOString(),
  seenAt: at(-60).toISOString(),
  destination: 'd',
  differences: [],
  more: 0,
};

describe('pgsluice status', () => {
  test('says first what is wrong, and times by the clock of whoever looks', async (t) => {
    const zone = process.env['TZ'];
    process.env['TZ'] = 'America/New_York';
    t.after(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });
    const next = archiveOf('well', {}, { nextSlot: new Date('2026-11-27T01:15:00Z') });
    const { code, stdout } = await statusOf(t, [failing, late, paused, standby, next]);
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^1 failing, 1 late, 1 on standby, 1 paused of 5 archives\n.*times are those of America\/New_York\n/,
    );
    assert.match(stdout, /^well +ok +15 2 \* \* \* Europe\/Berlin +2026-11-26 20:15:00 /m);
    assert.match(stdout, /^paused +paused .* paused on this host /m);
    assert.match(stdout, /^standby +standby .* is in progress on db1$/m);
    assert.match(stdout, /^late is late: what was due at 2026-11-25 21:15:00 is not archived$/m);
    assert.match(
      stdout,
      /^failing \S+: failed \(connection-refused\) at 2026-11-25 21:16:00\n {2}since {2}2026-11-23 21:16:00, 3 failures in a row$/m,
    );
    assert.match(stdout, /^ {2}see .*\n {2}next {3}tried again 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d, in 4m \d\ds$/m);
    assert.match(stdout, /^archive .*\nfailing .*\nlate .*\npaused /m, 'what is wrong first');
  });

  for (const [what, archives, code] of [
    ['nothing but paused and standby archives', [paused, standby, archiveOf('well')], 0],
    ['one that is failing', [archiveOf('well'), failing], 1],
    ['one that is late', [late], 1],
    ['one that is failing and runs again', [archiveOf('again', failing.standing, { current: runningRun('again') })], 1],
    ['one that is late and runs', [archiveOf('again', late.standing, { ...LATE, current: runningRun('again') })], 1],
    ['no archive', [], 0],
  ] as const) {
    test(`exits with ${code} for ${what}, as text and as JSON`, async (t) => {
      assert.equal((await statusOf(t, [...archives])).code, code);
      const { code: asJson, stdout } = await statusOf(t, [...archives], true);
      assert.equal(asJson, code);
      assert.equal((JSON.parse(stdout) as State).archives.length, archives.length);
    });
  }

  test('prints as JSON what docs/operations.md says of each field', async (t) => {
    const { stdout } = await statusOf(t, [failing], true);
    const docs = readFileSync(path.join(import.meta.dirname, '../../../docs/operations.md'), 'utf8');
    const state = JSON.parse(stdout) as State & { archives: [object] };
    const fields = [...Object.keys(state), ...Object.keys(state.memory), ...Object.keys(state.archives[0])];
    assert.deepEqual(
      fields.filter((field) => !docs.includes(`\`${field}`) && !docs.includes(`.${field}\``)),
      [],
    );
  });

  test('says of a damaged archive, a held purge, a refused config and a full disk, and whether that is wrong', async (t) => {
    const run = '20261122T021500Z';
    const proofs: ProofStanding = {
      ...{ runs: [], last: undefined, unreadable: new Set(), failure: undefined },
      different: [{ archive: 'damaged', run, ...DIFFERENCE }],
    };
    const { code, stdout } = await statusOf(t, [archiveOf('damaged', {}, { proofs })]);
    assert.equal(code, 1);
    assert.match(stdout, /^1 damaged of 1 archive\n/);
    const daemon = new FakeDaemon({
      archives: [archiveOf('well')],
      refusedConfig: { at: at(-60), problems: ['/etc/pgsluice/pgsluice.yaml:12:3: unknown key'] },
      historyProblem: {
        at: at(-60).toISOString(),
        message: 'the history cannot be written: disk is full',
        hint: 'look',
      },
    });
    const url = await daemon.start();
    t.after(() => daemon.stop());
    const told = await commandOfFile('none', {}, (invocation) =>
      statusCommand({ ...invocation, json: false }, { url }),
    );
    assert.equal(told.code, 0);
    assert.match(told.stdout, /^all is well: 1 archive; the config file is refused\n/);
    assert.match(
      told.stdout,
      /^the config file was refused at .*; the one before it stays in force\n {2}\/etc\/.*:12:3: unknown key$/m,
    );
    assert.match(told.stdout, /^the history cannot be written: disk is full\n {2}hint {3}look$/m);
  });

  test('names each state that an archive is in, what is wrong first', async (t) => {
    const both = { ...failing.standing, schedule: 'late' as const };
    const { stdout } = await statusOf(t, [
      archiveOf('all', both, { ...LATE, current: runningRun('all') }),
      archiveOf('held', { ...failing.standing, schedule: 'paused' }),
      archiveOf('new', { lastSuccess: undefined }, { nextSlot: at(60) }),
    ]);
    assert.match(stdout, /^all +failing, late, running +/m);
    assert.match(stdout, /^held +failing, paused +/m);
    assert.match(stdout, /^new +never +/m);
  });
});
