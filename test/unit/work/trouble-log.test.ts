import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../../src/base/errors.ts';
import { tellTrouble, type StoreTrouble } from '../../../src/store/trouble.ts';
import { RunProgress } from '../../../src/work/progress.ts';
import { noteTrouble, watchStall } from '../../../src/work/trouble-log.ts';
import { recordTo, type LogLine } from '../../support/record-log.ts';

const REQUEST = 'UploadPart of pg/a/part-00000';
const { failure } = fail('throttled', { stage: 'upload', message: 'slow down' });
const retried = (tries: number): StoreTrouble => ({ what: 'retried', request: REQUEST, tries, failure });
const AMOUNTS = { rows: 0, jsonBytes: 0, bytes: 0 };

function setUp(): { progress: RunProgress; lines: LogLine[]; log: ReturnType<typeof recordTo> } {
  const lines: LogLine[] = [];
  return { progress: new RunProgress('a', '20261123T021500Z', undefined), lines, log: recordTo(lines) };
}

describe('a run that does not get on', () => {
  test('says the first retry of a request, and counts all of them', () => {
    const { progress, lines, log } = setUp();
    for (const tries of [1, 2]) noteTrouble(log, progress, retried(tries), 3);
    assert.deepEqual(
      lines.map(({ fields }) => fields),
      [{ request: REQUEST, failure, segment: 3 }],
    );
    assert.equal(progress.requestRetries, 2);
    assert.deepEqual(progress.stall.waitsFor, [`${REQUEST}, which failed: throttled`]);
  });

  test('names what it waits for: requests in trouble until they are over, else the source, a thread or the end', () => {
    const { progress } = setUp();
    assert.match(progress.stall.waitsFor.join(), /lock.*plan/);
    progress.begin({ segments: [{ index: 0 }, { index: 1 }], estimate: { rows: 1 } }, new Map());
    assert.match(progress.stall.waitsFor.join(), /a free thread/);
    progress.attempt(0, 1);
    assert.match(progress.stall.waitsFor.join(), /rows of the source/);
    progress.trouble({ what: 'slow', request: REQUEST }, 0);
    progress.trouble({ what: 'slow', request: 'ListObjectsV2' });
    assert.deepEqual(progress.stall.waitsFor, [REQUEST, 'ListObjectsV2']);
    progress.trouble({ what: 'over', request: 'ListObjectsV2' });
    // A thread that died tells no more.
    progress.fail(0, failure, false);
    assert.match(progress.stall.waitsFor.join(), /a free thread/);
    for (const segment of [0, 1]) progress.finish(segment, AMOUNTS);
    assert.match(progress.stall.waitsFor.join(), /the end of the run/);
  });

  test('says so again and again, and no more once its watch is ended', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { progress, lines, log } = setUp();
    const stop = watchStall(log, progress, 0.001);
    progress.trouble({ what: 'slow', request: REQUEST });
    t.mock.timers.tick(2);
    assert.ok(lines.length >= 1);
    assert.deepEqual(lines[0]?.fields['waitsFor'], [REQUEST]);
    stop();
    const said = lines.length;
    t.mock.timers.tick(2);
    assert.equal(lines.length, said);
  });

  test('is told of a request that takes long, and when that is over', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const told: string[] = [];
    const answer = Promise.withResolvers<string>();
    const asked = tellTrouble(
      REQUEST,
      ({ what }) => told.push(what),
      () => answer.promise,
    );
    t.mock.timers.tick(9999);
    assert.deepEqual(told, []);
    t.mock.timers.tick(1);
    answer.resolve('yes');
    assert.equal(await asked, 'yes');
    assert.deepEqual(told, ['slow', 'over']);
  });
});
