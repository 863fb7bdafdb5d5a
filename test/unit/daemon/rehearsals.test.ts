import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail, type Failure } from '../../../src/base/errors.ts';
import { auditPace } from '../../../src/audit/audit-pace.ts';
import type { PassParts } from '../../../src/audit/rehearsal/rehearsal-pass.ts';
import type { ArchiveConfig, NotifyConfig } from '../../../src/config/schema.ts';
import { Alarms } from '../../../src/daemon/alarms/alarms.ts';
import type { Deliveries, Delivery } from '../../../src/daemon/alarms/deliveries.ts';
import { Rehearsals, type RehearsalsParts } from '../../../src/daemon/rehearsals.ts';
import { describeRehearsals } from '../../../src/daemon/view/rehearsal-state.ts';
import type { RehearsalResult } from '../../../src/ledger/rehearsals.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';

const RUN = '20261123T021500Z';
const PACE = auditPace({ timezone: 'UTC' } as ArchiveConfig, recordTo([]));

/** Rehearsals of an archive whose first look goes on until the test ends it. */
function open() {
  const read: string[] = [];
  let hooks: PassParts['hooks'] | undefined;
  const over = Promise.withResolvers<undefined>();
  const config = { archives: { events: { name: 'events' } }, audits: { rehearse: {} } };
  const nothing = (): void => undefined;
  const rehearsals = new Rehearsals({
    generation: () => ({ number: 1, config }) as unknown as ReturnType<RehearsalsParts['generation']>,
    log: recordTo([]),
    isPaused: () => false,
    events: {
      ...{ changed: nothing, ended: nothing, different: nothing, good: nothing, failed: nothing, recovered: nothing },
      read: (archive) => read.push(`${archive} ${rehearsals.holdsPurge(archive)?.code ?? 'free'}`),
    },
    rehearsalPass: (parts) => {
      ({ hooks } = parts);
      return over.promise;
    },
  });
  rehearsals.look();
  return { rehearsals, read, hooks: hooks!, over };
}

function findings(status: RehearsalResult['status']): Parameters<PassParts['hooks']['found']>[1] {
  return { runs: [{ run: RUN }], results: [{ run: RUN, status }] } as unknown as ReturnType<typeof findings>;
}

test('what cannot be read of an archive is shown until it can, whatever comes back of another one', async () => {
  const yard = new Yard();
  yard.begin('others');
  yard.latest.hooks.unknown('events', fail('bad-rehearsals', { stage: 'verify', message: 'it is no JSON' }).failure);
  yard.latest.hooks.end('others', RUN, came());
  const shown = () => describeRehearsals(yard.rehearsals.of('events'), undefined, new Date())?.failure?.code;
  assert.equal(shown(), 'bad-rehearsals');
  yard.latest.hooks.found('events', findings('equal'));
  assert.equal(shown(), undefined);
  await yard.rehearsals.close();
});

describe('what keeps purges from an archive', () => {
  test('is a run that did not come back, and before the first look whatever may be found', () => {
    const { rehearsals, read, hooks } = open();
    assert.equal(rehearsals.holdsPurge('events')?.code, 'rehearsals-unread');
    assert.equal(rehearsals.holdsPurge('others'), undefined, 'one that is not rehearsed');
    hooks.found('events', findings('different'));
    assert.equal(rehearsals.holdsPurge('events')?.code, 'rehearsal-different');
    hooks.found('events', findings('equal'));
    assert.equal(rehearsals.holdsPurge('events'), undefined);
    assert.deepEqual(read, ['events rehearsal-different'], 'once');
  });

  test('is no look that fails, or has ended without a word', async () => {
    const failing = open();
    failing.hooks.unknown('events', fail('throttled', { stage: 'verify', message: 'slow down' }).failure);
    assert.deepEqual([failing.rehearsals.holdsPurge('events'), failing.read], [undefined, ['events free']]);
    const silent = open();
    silent.over.resolve(undefined);
    await silent.rehearsals.settled();
    assert.equal(silent.rehearsals.holdsPurge('events'), undefined);
  });
});

/** A daemon's rehearsals of two archives, whose passes do what the test says, and end when they are stopped. */
class Yard {
  archives = ['events', 'others'];
  paused = new Set<string>();
  log: LogLine[] = [];
  told: string[] = [];
  /** Of all passes, the latest last. */
  passes: { parts: PassParts; end: () => void }[] = [];
  rehearsals: Rehearsals;

  constructor() {
    const notify = [{ url: 'https://a', on: ['failure', 'recovery'], format: 'json' }] as unknown as NotifyConfig[];
    const send = ({ body }: Delivery): void => {
      const { event, archive, error } = JSON.parse(body) as { event: string; archive: string; error?: Failure | null };
      this.told.push([event, archive, error?.code ?? ''].join(' ').trimEnd());
    };
    const alarms = new Alarms({ send } as unknown as Deliveries, () => ({ ...this.config, notify }));
    const nothing = (): void => undefined;
    this.rehearsals = new Rehearsals({
      generation: () => ({ number: 1, config: this.config }) as unknown as ReturnType<RehearsalsParts['generation']>,
      ...{ log: recordTo(this.log), isPaused: (name) => this.paused.has(name) },
      events: {
        ...{ changed: nothing, ended: nothing, read: nothing },
        different: (archive, result, isNew) => {
          if (isNew) alarms.notComeBack(archive, result);
        },
        good: (archive, result) => alarms.cameBack(archive, result),
        failed: (failure, archive, run, isNew) => {
          if (isNew) alarms.notRehearsed(failure, archive, run);
        },
        recovered: (archive, run) => alarms.rehearsedAgain(archive, run),
      },
      rehearsalPass: (parts) => {
        const over = Promise.withResolvers<undefined>();
        const end = (): void => over.resolve(undefined);
        parts.signal.addEventListener('abort', end, { once: true });
        this.passes.push({ parts, end });
        return over.promise;
      },
    });
  }

  get config() {
    const archives = Object.fromEntries(this.archives.map((name) => [name, { name }]));
    return { archives, audits: { rehearse: {} } } as unknown as Parameters<Rehearsals['reloaded']>[0];
  }

  get latest(): PassParts {
    return this.passes.at(-1)!.parts;
  }

  /** A slot comes, and a run is being rehearsed. */
  begin(archive = 'events'): void {
    this.rehearsals.come(new Date());
    const figures = { rows: 10, objects: 1, objectsOfRun: 1, jsonBytes: 100 };
    this.latest.hooks.begin({ archive, run: RUN, ...figures }, PACE);
  }

  /** A slot comes, and a rehearsal ends so. */
  async ends(outcome: Outcome, archive = 'events'): Promise<void> {
    this.begin(archive);
    this.latest.hooks.found(archive, {
      ...findings('equal'),
      results: this.rehearsals.of(archive)?.findings?.results ?? [],
    });
    this.latest.hooks.end(archive, RUN, outcome);
    this.passes.at(-1)?.end();
    await this.rehearsals.settled();
  }
}

type Outcome = Parameters<PassParts['hooks']['end']>[2];

function came(message?: string): Outcome {
  const status = message === undefined ? 'equal' : 'different';
  return { status, result: { run: RUN, status, at: '', message } as unknown as RehearsalResult };
}

function notMade(code: 'rehearsal-refused' | 'connection-lost'): Outcome {
  const { failure } = fail(code, { stage: 'restore', message: 'no' });
  return { status: code === 'rehearsal-refused' ? 'refused' : 'failed', failure };
}

describe('a rehearsal', () => {
  test('leaves a slot out that comes meanwhile, and is cancelled by the name of its archive alone', async () => {
    const yard = new Yard();
    yard.begin();
    yard.rehearsals.come(new Date());
    assert.deepEqual(
      [yard.passes.length, yard.log.filter(({ message }) => message.includes('is left out')).length],
      [1, 1],
    );
    assert.equal(await yard.rehearsals.cancel('others'), undefined);
    assert.equal(yard.latest.signal.aborted, false);
    assert.equal(yard.rehearsals.currentOf('events')?.run, RUN);
    assert.equal(await yard.rehearsals.cancel('events'), RUN);
    assert.equal(yard.latest.signal.aborted, true);
    assert.equal(yard.rehearsals.currentOf('events'), undefined);
    yard.rehearsals.come(new Date());
    assert.deepEqual([yard.passes.length, yard.latest.signal.aborted], [2, false], 'the next slot is for another one');
    await yard.rehearsals.close();
    yard.rehearsals.come(new Date());
    yard.rehearsals.look();
    assert.deepEqual([yard.passes.length, yard.latest.signal.aborted], [2, true], 'nothing begins after the end');
  });

  test('is made of no archive that is paused, or was taken out of the config meanwhile', async () => {
    const yard = new Yard();
    yard.rehearsals.come(new Date());
    const may = (): string[] => ['events', 'others'].filter((name) => yard.latest.mayRehearse(name));
    assert.deepEqual(may(), ['events', 'others']);
    yard.paused.add('events');
    assert.deepEqual(may(), ['others']);
    yard.archives = ['events'];
    assert.deepEqual(may(), []);
    yard.paused.clear();
    assert.deepEqual(may(), ['events']);
    const figures = { rows: 10, objects: 1, objectsOfRun: 1, jsonBytes: 100 };
    yard.latest.hooks.begin({ archive: 'events', run: RUN, ...figures }, PACE);
    assert.equal(yard.latest.signal.aborted, false);
    yard.paused.add('events');
    yard.latest.hooks.begin({ archive: 'events', run: RUN, ...figures }, PACE);
    assert.equal(yard.latest.signal.aborted, true, 'it was paused after it was chosen, and before it began');
    await yard.rehearsals.close();
  });

  test('ends when a reload takes its archive away, and what the new config has is looked at once it has ended', async () => {
    const yard = new Yard();
    yard.begin('others');
    const before = yard.config;
    yard.rehearsals.reloaded(before);
    assert.equal(yard.latest.signal.aborted, false, 'nothing has changed');
    yard.archives = ['others', 'more'];
    yard.rehearsals.reloaded(before);
    assert.equal(yard.latest.signal.aborted, false, 'its archive is there still');
    assert.equal(yard.passes.length, 1);
    const between = yard.config;
    yard.archives = ['events'];
    yard.rehearsals.reloaded(between);
    assert.equal(yard.latest.signal.aborted, true);
    await yard.rehearsals.settled();
    await new Promise(setImmediate);
    assert.deepEqual([yard.passes.length, yard.latest.slot], [2, undefined], 'one look, which rehearses nothing');
    assert.equal(yard.rehearsals.of('others'), undefined);
    await yard.rehearsals.close();
  });
});

describe('what is told of rehearsals', () => {
  test('is each reason why a run does not come back, once, and that it does; so long, purges are held', async () => {
    const yard = new Yard();
    const held = () => yard.rehearsals.holdsPurge('events')?.code;
    await yard.ends(came());
    assert.deepEqual([yard.told, held()], [[], undefined]);
    await yard.ends(came('a row is missing'));
    await yard.ends(came('a row is missing'));
    assert.deepEqual([yard.told, held()], [['failure events rehearsal-different'], 'rehearsal-different']);
    assert.equal(yard.rehearsals.holdsPurge('others'), undefined);
    await yard.ends(came('another row is missing'));
    assert.equal(yard.told.length, 2);
    await yard.ends(notMade('connection-lost'));
    assert.equal(held(), 'rehearsal-different', 'that none could be made says nothing of the run');
    yard.told = [];
    await yard.ends(came());
    await yard.ends(came());
    assert.deepEqual([yard.told, held()], [['recovery events', 'recovery events'], undefined]);
  });

  test('is each reason why none can be made, once, whichever archive has its turn, and that one can again', async () => {
    const yard = new Yard();
    await yard.ends(notMade('rehearsal-refused'));
    await yard.ends(notMade('rehearsal-refused'), 'others');
    assert.deepEqual(yard.told, ['failure events rehearsal-refused']);
    const failures = () => yard.archives.map((name) => yard.rehearsals.of(name)?.failure?.code);
    assert.deepEqual(failures(), [undefined, 'rehearsal-refused'], 'it is shown where it was met last');
    await yard.ends(notMade('connection-lost'));
    assert.deepEqual(yard.told.slice(1), ['failure events connection-lost']);
    assert.equal(yard.rehearsals.holdsPurge('events'), undefined);
    await yard.ends({ status: 'stopped' });
    assert.equal(yard.told.length, 2);
    await yard.ends(came(), 'others');
    await yard.ends(came(), 'others');
    assert.deepEqual(yard.told.slice(2), ['recovery others']);
    assert.deepEqual(failures(), [undefined, undefined]);
  });
});
