import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { describeRecord } from '../../../src/base/log-text.ts';

const RUN = { archive: 'events', run: '20261126T021500Z' };
const PLAIN = { time: false, color: false };

before(() => {
  process.env['TZ'] = 'Asia/Kolkata';
});

function lines(record: Record<string, unknown>, options = PLAIN): string[] {
  return describeRecord({ level: 30, time: '2026-11-26T02:15:00.123Z', pid: 7, ...record }, options);
}

describe('a line of the log as text', () => {
  test('says how bad it is, of which archive and run, what, and figures with their units', () => {
    const figures = { rows: 20_000, jsonBytes: 20_254_291, bytes: 3_627_030, seconds: 187, peakRssBytes: 190_971_904 };
    assert.deepEqual(lines({ ...RUN, status: 'committed', ...figures, resumed: false, msg: 'run committed' }), [
      'INFO  events 20261126T021500Z: run committed (rows 20,000, JSONL 19.3 MiB, size 3.5 MiB, took 3m 07s, peak RSS 182.1 MiB)',
    ]);
  });

  test('begins with the local time where nothing else says it', () => {
    assert.deepEqual(lines({ msg: 'daemon is ready' }, { time: true, color: false }), [
      '2026-11-26 07:45:00 INFO  daemon is ready',
    ]);
  });

  test('marks what is wrong by colour on a terminal', () => {
    const color = { time: false, color: true };
    assert.deepEqual(lines({ level: 50, msg: 'a' }, color), ['\u001b[31mERROR\u001b[0m a']);
    assert.deepEqual(lines({ level: 40, msg: 'a' }, color), ['\u001b[33mWARN \u001b[0m a']);
    assert.deepEqual(lines({ msg: 'a' }, color), ['INFO  a']);
  });

  test('tells of a failure why, and in lines of their own the cause and what to do', () => {
    const error = { code: 'disk-full', stage: 'upload', message: 'no space', cause: 'Error: ENOSPC\n    at x', hint: 'Free it.', see: 'docs/errors.md#disk-full' }; // prettier-ignore
    assert.deepEqual(
      lines({ level: 50, ...RUN, status: 'failed', rows: 0, bytes: 0, retries: 2, error, msg: 'run failed' }),
      [
        'ERROR events 20261126T021500Z: run failed: no space (disk-full) (retries 2)',
        '  cause  Error: ENOSPC',
        '             at x',
        '  hint   Free it.',
        '  see    docs/errors.md#disk-full',
      ],
    );
  });

  const figures: [field: Record<string, unknown>, said: string][] = [
    [{ drainTimeoutMs: 60_000 }, 'drain timeout 1m 00s'],
    [{ pausedSeconds: 3 }, 'paused 3.0 s'],
    [{ estimate: { rows: 3, bytes: 2048 } }, 'estimate rows 3, estimate size 2.0 KiB'],
    [{ slot: '2026-11-26T02:15:00.000Z' }, 'slot 2026-11-26 07:45:00'],
    [{ problems: ['a: unknown key', 'b: must be a size'] }, 'problems a: unknown key; b: must be a size'],
    [{ backendPid: 123_456, resumed: true, takenUpFrom: 'vm-2' }, 'backend pid 123456, resumed, taken up from vm-2'],
    [{ left: Array.from({ length: 12 }, (_, at) => at) }, 'left 0; 1; 2; 3; 4; 5; 6; 7; 8; 9 and 2 more'],
  ];
  for (const [field, said] of figures) {
    test(`says ${JSON.stringify(field)} in words`, () => {
      assert.deepEqual(lines({ ...field, msg: 'x' }), [`INFO  x (${said})`]);
    });
  }

  test('leaves out what says nothing', () => {
    assert.deepEqual(lines({ busyWith: null, changes: [], paused: false, why: '', msg: 'x' }), ['INFO  x']);
  });

  test('is one line with nothing in it that a terminal would obey, whatever a server has sent', () => {
    const evil = '\u001b[2J\nERROR forged\u202e';
    for (const line of lines({
      archive: evil,
      msg: evil,
      what: evil,
      error: { message: evil, hint: evil, code: evil },
    }))
      assert.doesNotMatch(line, /[\p{Cc}\u202e]/u);
  });
});
