import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { fail, FailureError } from '../../../src/base/errors.ts';
import type { DestinationConfig } from '../../../src/config/schema.ts';
import type { Binding } from '../../../src/segment/binding.ts';
import { describeEnds, requireSameEnds } from '../../../src/work/hosts/ends.ts';
import {
  checkJob,
  inMessages,
  partOfJob,
  readJob,
  readOrder,
  readSaid,
  shortened,
  type Job,
  type Report,
} from '../../../src/work/hosts/messages.ts';
import { beatOf } from '../../../src/work/hosts/queue.ts';

function isBad(error: unknown): boolean {
  return error instanceof FailureError && error.failure.code === 'bad-job';
}

function aJob(changes: object = {}): Job {
  return {
    format: 'pgsluice/job/1',
    id: randomUUID(),
    coordinator: randomUUID(),
    archive: 'events',
    run: '20261123T021500Z',
    generation: 1,
    generations: [1],
    destination: 'default',
    destinationDigest: 'b'.repeat(64),
    attempt: 1,
    part: { index: 3, range: { lower: ['1'], upper: null } },
    key: 'events/run=20261123T021500Z/part-00003.jsonl.gz',
    token: '0a1b2c3d',
    replaces: 'nothing',
    shared: { etag: 'e', sha256: 'a'.repeat(64) },
    ...changes,
  };
}

describe('what comes out of the queue', () => {
  test('is read as it was written', () => {
    const job = aJob();
    assert.deepEqual(readJob(JSON.parse(JSON.stringify(checkJob(job)))), job);
  });

  test('is refused in any other form', () => {
    const others = [
      null,
      'DROP TABLE t',
      [],
      {},
      aJob({ format: 'pgsluice/job/2' }),
      aJob({ predicate: 'true; DROP TABLE t' }),
      aJob({ part: { index: 3, predicate: 'true' } }),
      aJob({ part: { index: -1 } }),
      aJob({ id: 'x' }),
      aJob({ token: 'zz' }),
      aJob({ shared: { etag: 'e', sha256: '../x' } }),
      ...[
        'events/_head.json',
        'events/run=20261123T021500Z/_manifest.json',
        'other/run=20261123T021500Z/part-00003.jsonl',
      ]
        .concat('events/run=20261123T021500Z/_pgsluice/plan.json', 'events/run=20261123T021500Z/part-00004.jsonl.gz')
        .map((key) => aJob({ key })),
    ];
    for (const data of others) assert.throws(() => readJob(data), isBad, JSON.stringify(data));
    const report = { id: randomUUID(), backends: [1], uploads: [] };
    const said = { format: 'pgsluice/said/1', member: randomUUID(), host: 'db2', reports: [report] };
    assert.deepEqual(readSaid(said).reports, [report]);
    const failed = (code: string): object => ({
      ok: false,
      peakHeapBytes: 0,
      failure: { code, stage: 'worker', transient: true, message: '', hint: '' },
    });
    assert.equal(readSaid({ ...said, reports: [{ ...report, outcome: failed('internal') }] }).reports.length, 1);
    for (const changes of [
      { reports: [{ ...report, backends: ['1'] }] },
      { reports: [{ ...report, outcome: failed('no-such-code') }] },
      { reports: [{ ...report, outcome: { ok: true } }] },
      { reports: Array(65).fill(report) },
    ])
      assert.throws(() => readSaid({ ...said, ...changes }), isBad, JSON.stringify(changes));
    assert.throws(() => readOrder({ format: 'pgsluice/drop/1', id: randomUUID() }), isBad);
  });

  test('is no larger than a job may be, which is said before it is sent', () => {
    const long = aJob({ part: { index: 0, range: { lower: ['x'.repeat(8000)], upper: null } } });
    assert.throws(() => checkJob(long), { name: 'FailureError', message: /^a job has \d+ bytes, and may have 8192$/ });
    assert.throws(() => readJob(long), isBad);
  });

  test('has room for as many partitions as are read together, whatever their names', () => {
    const leaves = Array.from({ length: 100 }, (_, at) => ({
      leaf: 4e9 + at,
      name: `${'s'.repeat(63)}.${'t'.repeat(63)}`,
    }));
    const { part } = checkJob(aJob({ part: partOfJob({ leaves }, 3) }));
    assert.deepEqual(
      part.leaves?.map(({ leaf }) => leaf),
      leaves.map(({ leaf }) => leaf),
    );
  });

  test('has no text that the jsonb of the queue refuses, so that each failure can be told', () => {
    const message = `\0${'x'.repeat(3998)}😀 and more`;
    const { failure } = fail('internal', { stage: 'read', message, cause: '\ud800' });
    const { message: short, cause } = shortened(failure);
    assert.equal(short, `\ufffd${'x'.repeat(3998)}\ufffd`);
    assert.equal(cause, '\ufffd');
  });
});

test('what a host tells together is no larger than a message may be', () => {
  const { failure } = fail('timeout', { stage: 'upload', message: 'é'.repeat(4000), hint: 'é'.repeat(4000) });
  const troubles = Array.from({ length: 16 }, (_, at) => ({ request: `PutObject of ${at}`, tries: 1, failure }));
  const report = (): Report => ({ id: randomUUID(), backends: [], uploads: [], troubles });
  const large = Array.from({ length: 10 }, () => ({ report: report() }));
  const small = Array.from({ length: 100 }, () => ({ report: { id: randomUUID(), backends: [], uploads: [] } }));
  const messages = inMessages([...large, ...small]);
  assert.deepEqual(messages.flat(), [...large, ...small]);
  assert.ok(messages.length < 10);
  for (const together of messages) {
    const reports = together.map((one) => one.report);
    readSaid({ format: 'pgsluice/said/1', member: randomUUID(), host: 'h'.repeat(250), reports });
  }
  assert.deepEqual(inMessages([]), []);
});

function bindingOf(changes: Partial<DestinationConfig> = {}, url = 'postgres://app:secret@db/events'): Binding {
  const destination = {
    name: 'default',
    url: 's3://bucket/pg',
    location: { kind: 's3', bucket: 'bucket', prefix: 'pg/' },
    region: 'eu-west-1',
    accessKeyId: 'canary-key',
    secretAccessKey: 'canary-secret',
    partBytes: 5 * 1024 ** 2,
    checksums: 'when-supported',
    forcePathStyle: true,
    ...changes,
  } as unknown as DestinationConfig;
  return { sources: { default: { name: 'default', url } }, destinations: { default: destination } };
}

describe('what a segment names', () => {
  const names = { source: 'default', destination: 'default' };

  test('is bound where it means the same, whatever credentials and limits a host has, and holds no secret', () => {
    const ends = describeEnds(bindingOf(), names);
    assert.deepEqual([ends.database, ends.role], ['events', 'app']);
    assert.doesNotMatch(JSON.stringify(ends), /secret|canary/);
    requireSameEnds(bindingOf({ accessKeyId: 'other', secretAccessKey: 'other', partBytes: 8 * 1024 ** 2 }), ends);
    requireSameEnds(bindingOf({}, 'postgres://app:rotated@10.0.0.1:6432/events'), ends);
  });

  test('is refused where anything else is meant, and what it is is said', () => {
    const ends = describeEnds(bindingOf(), names);
    const others: [Binding, RegExp][] = [
      [bindingOf({}, 'postgres://app:secret@db/other'), /its database of the source/],
      [bindingOf({}, 'postgres://admin:secret@db/events'), /its role of the source/],
      [bindingOf({ location: { kind: 's3', bucket: 'b', prefix: 'pg/' } } as never), /its url of the destination/],
      [bindingOf({ endpoint: 'https://s3.example.com' }), /its endpoint of the destination/],
      [bindingOf({ region: 'us-east-1' }), /its region of the destination/],
      [bindingOf({ storageClass: 'GLACIER' }), /its options of the destination/],
      [{ ...bindingOf(), sources: {} }, /it has no source "default"/],
      [{ ...bindingOf(), destinations: {} }, /it has no destination "default"/],
    ];
    for (const [binding, message] of others)
      assert.throws(
        () => requireSameEnds(binding, ends),
        (error) =>
          error instanceof FailureError && error.failure.code === 'host-differs' && message.test(error.failure.message),
      );
  });
});

test('a host drops what it has before another is given it, and all of it is known within the silence', () => {
  for (const silenceMs of [15_000, 30_000, 60_000, 3_600_000]) {
    const { everyMs, dropAfterMs, lostAfterSeconds, lookMs } = beatOf({ url: '', schema: '', silenceMs });
    assert.ok(everyMs * 3 < dropAfterMs);
    assert.ok(dropAfterMs < lostAfterSeconds * 1000);
    assert.ok(lostAfterSeconds >= 10, 'pg-boss takes no less');
    assert.ok(lostAfterSeconds * 1000 + lookMs + 1000 <= silenceMs);
  }
});
