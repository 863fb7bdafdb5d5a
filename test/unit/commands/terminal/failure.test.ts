import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeFailure } from '../../../../src/commands/terminal/failure.ts';

const FAILURE = { code: 'disk-full', message: 'writing /srv/a failed', hint: 'Free space.' };

describe('the text on a failure', () => {
  test('says what failed and how, the cause in one line, and what to do', () => {
    assert.deepEqual(
      describeFailure({ ...FAILURE, cause: 'ENOSPC: no space\n    at write' }, 'events 20261125T021500Z'),
      [
        'events 20261125T021500Z: failed (disk-full)',
        '  writing /srv/a failed',
        '  cause  ENOSPC: no space',
        '  hint   Free space.',
        '  see    docs/errors.md#disk-full',
      ],
    );
  });

  test('begins with the message when nothing of a name failed', () => {
    assert.deepEqual(describeFailure(FAILURE), [
      'writing /srv/a failed (disk-full)',
      '  hint   Free space.',
      '  see    docs/errors.md#disk-full',
    ]);
  });

  test('does without a hint and a cause, and takes the code of another version', () => {
    assert.deepEqual(describeFailure({ code: 'of-tomorrow', message: 'no' }), ['no (of-tomorrow)']);
  });
});
