import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ArchiveConfig } from '../../../src/config/schema.ts';
import type { Leftovers } from '../../../src/daemon/leftovers.ts';
import { LookAround, type LookAroundParts } from '../../../src/daemon/look-around.ts';
import type { OfferedRun } from '../../../src/daemon/lane.ts';
import type { Manifest } from '../../../src/ledger/manifest.ts';

const FOUND: Leftovers = { latest: { run: '3' } as Manifest, unfinished: ['1', '2'], abortedUploads: 4 };

let steps: string[];
let asked: string[];
let answers: PromiseWithResolvers<Leftovers>;
let isStopping: boolean;

beforeEach(() => {
  steps = [];
  asked = [];
  answers = Promise.withResolvers();
  isStopping = false;
});

/** Parts that only note what they are asked for. */
const parts = {
  board: {
    hold: async (archive: string, work: () => Promise<void>) => {
      steps.push(`hold ${archive}`);
      await work();
      steps.push(`release ${archive}`);
    },
    offer: (archive: string, { run, trigger, whenBusy }: OfferedRun) =>
      steps.push(`offer ${archive} ${run} ${trigger} ${whenBusy}`),
  },
  purges: { offer: (name: string) => steps.push(`purge ${name}`) },
  due: { begin: ({ name }: ArchiveConfig) => steps.push(`due ${name}`) },
  standings: { found: (archive: string, { run }: Manifest) => steps.push(`found ${archive} ${run}`) },
  history: { wasCancelled: (_archive: string, run: string) => run === '2' },
  metrics: { abortedUploads: (archive: string, count: number) => steps.push(`aborted ${archive} ${count}`) },
  findLeftovers: ({ name }: ArchiveConfig) => {
    asked.push(name);
    return answers.promise;
  },
  isStopping: () => isStopping,
  changed: () => steps.push('changed'),
} as unknown as LookAroundParts;

function archives(count: number): ArchiveConfig[] {
  return Array.from({ length: count }, (_, index) => ({ name: `a${index + 1}` }) as ArchiveConfig);
}

describe('a look at the destination of an archive', () => {
  test('holds its lane, takes up what was left unless it was cancelled by hand, and then catches up', async () => {
    const looked = new LookAround(parts).lookAt(archives(1));
    await turn();
    assert.deepEqual([steps, asked], [['hold a1'], ['a1']]);
    answers.resolve(FOUND);
    await looked;
    const taken = ['found a1 3', 'aborted a1 4', 'offer a1 1 taken up append', 'due a1', 'purge a1', 'changed'];
    assert.deepEqual(steps, ['hold a1', ...taken, 'release a1']);
  });

  test('is taken at four archives at once', async () => {
    const looked = new LookAround(parts).lookAt(archives(6));
    await turn();
    assert.deepEqual(asked, ['a1', 'a2', 'a3', 'a4']);
    answers.resolve({ ...FOUND, unfinished: [] });
    await looked;
    assert.equal(asked.length, 6);
  });

  test('that ends when the daemon stops changes nothing any more, and no other one is taken', async () => {
    const looked = new LookAround(parts).lookAt(archives(5));
    await turn();
    isStopping = true;
    answers.resolve(FOUND);
    await looked;
    assert.equal(asked.length, 4);
    assert.deepEqual(
      steps.filter((step) => !/^(?:hold|release)/.test(step)),
      [],
    );
  });
});
