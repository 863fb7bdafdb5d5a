import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { describeHosts, describeNumbers, HostsRecord } from '../../../src/demo/hosts-report.ts';

const [KILLED, LIVING] = [101, 102];
let record: HostsRecord;

beforeEach(() => {
  record = new HostsRecord('vm1');
  record.begin(1000);
  record.fromWorker(KILLED, { msg: 'worker is ready', member: 'a' });
  record.fromWorker(LIVING, { msg: 'worker is ready', member: 'b' });
});

function done(segment: number, member: string): void {
  record.fromCoordinator({ msg: 'a segment was done by a host', segment, member }, 0);
}

describe('the report of the demo over several hosts', () => {
  test('says who did which segments, what was lost, who did it again, and how fast that was noticed', () => {
    for (const segment of [0, 1, 2]) done(segment, 'a');
    record.fromWorker(KILLED, { msg: 'a segment begins', segment: 3 });
    record.killed(KILLED, 3500);
    record.fromCoordinator(
      { msg: 'a host is lost, its segment is given to another one', failure: { segment: 3 } },
      15_900,
    );
    record.fromWorker(LIVING, { msg: 'a segment begins', segment: 3 });
    done(3, 'b');
    assert.equal(record.done, 4);
    assert.deepEqual(record.report(), {
      workers: [
        { host: 'vm1', pid: KILLED, segments: [0, 1, 2], killed: true },
        { host: 'vm1', pid: LIVING, segments: [3], killed: false },
      ],
      killedAfterSeconds: 2.5,
      lost: [{ segment: 3, pid: KILLED, doneByPid: LIVING, noticedAfterSeconds: 12.4 }],
    });
    assert.deepEqual(describeHosts(record.report()), [
      '  worker            vm1, process 101: segments 0-2, killed (SIGKILL) 2.5 s after the start',
      '  worker            vm1, process 102: segments 3',
      '  lost              segment 3 of process 101: noticed 12.4 s after the kill, done again by process 102',
    ]);
  });

  test('says so where nothing was lost', () => {
    assert.match(describeHosts(record.report()).join('\n'), /nothing: the run was over before a worker was killed$/);
    record.killed(KILLED, 3500);
    assert.match(describeHosts(record.report()).join('\n'), /nothing: the worker had just told of its last segment$/);
  });

  test('is not misled by lines of another form', () => {
    done(0, 'nobody');
    record.fromCoordinator({ msg: 'a segment was done by a host', segment: 'x', member: 'a' }, 0);
    record.fromCoordinator({ msg: 'a host is lost, its segment is given to another one' }, 0);
    assert.deepEqual(
      record.report().workers.map(({ segments }) => segments),
      [[], []],
    );
    assert.deepEqual(record.report().lost, []);
  });
});

test('numbers that follow each other are told as a range', () => {
  assert.equal(describeNumbers([7, 0, 2, 1]), '0-2, 7');
  assert.equal(describeNumbers([]), 'none');
});
