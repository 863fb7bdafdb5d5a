import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FAILURES } from '../../../src/base/failures.ts';
import { registerSecret } from '../../../src/base/secrets.ts';
import { errorText, fail, FailureError, toFailure, type Failure } from '../../../src/base/errors.ts';

const failure: Failure = {
  code: 'row-too-wide',
  stage: 'read',
  transient: false,
  message: 'the row is too wide',
  hint: 'Leave the column out.',
};

describe('a failure', () => {
  test('is that of the error that was thrown on purpose, with the stage that it names itself', () => {
    assert.deepEqual(toFailure(new FailureError(failure), 'upload'), failure);
  });

  test('is found below the errors that libraries put around it', () => {
    const wrapped = new Error('outer', { cause: new TypeError('middle', { cause: new FailureError(failure) }) });
    assert.deepEqual(toFailure(wrapped, 'upload'), failure);
  });

  test('is the outermost one, when one was caused by another', () => {
    const outer: Failure = { ...failure, code: 'worker-died' };
    const error = new FailureError(outer, { cause: new FailureError(failure) });
    assert.equal(toFailure(error, 'upload').code, 'worker-died');
  });

  test('does not look for ever in causes that go in a circle', () => {
    const error = new Error('circle');
    error.cause = error;
    assert.equal(toFailure(error, 'read').code, 'internal');
  });

  test('of anything else is internal, permanent, and says what to do', () => {
    for (const thrown of [new TypeError('x is not a function'), 'text', undefined, null, 42]) {
      const { code, stage, transient, message, hint } = toFailure(thrown, 'encode');
      assert.deepEqual([code, stage, transient], ['internal', 'encode', false]);
      assert.equal(message, thrown instanceof Error ? 'x is not a function' : String(thrown));
      assert.match(hint, /report/);
    }
  });

  test('is plain data, that comes through a thread boundary as it is', () => {
    const inner = toFailure(new Error('why'), 'read');
    assert.deepEqual(structuredClone(inner), inner);
    assert.match(inner.cause ?? '', /errors\.test\.ts/);
  });

  test('is without secrets, though the server echoed them', () => {
    registerSecret('Zebra-99');
    const echoed = { ...failure, message: 'bad value "Zebra-99"', cause: 'at postgres://me:other@host/x' };
    const { message, cause } = toFailure(new FailureError(echoed), 'read');
    assert.equal(message, 'bad value "***"');
    assert.equal(cause, 'at postgres://me:***@host/x');
    assert.ok(!JSON.stringify(toFailure(new Error('no Zebra-99'), 'read')).includes('Zebra'));
  });

  test('has what is declared of its code, but for what the place that fails knows better', () => {
    const details = { stage: 'lock', archive: 'events', message: 'another run holds the lock' } as const;
    const { hint } = FAILURES.locked;
    assert.deepEqual(fail('locked', details).failure, { code: 'locked', ...details, transient: false, hint });
    assert.equal(fail('locked', { ...details, hint: 'Wait.' }).failure.hint, 'Wait.');
    assert.equal(fail({ code: 'locked', hint: 'Wait.' }, { ...details, hint: undefined }).failure.hint, 'Wait.');
    assert.equal(fail('disk-error', details).failure.transient, true);
  });

  test('of a code that leaves it open says itself whether another try may help', () => {
    for (const transient of [true, false]) {
      const error = fail({ code: 'row-count-mismatch', transient }, { stage: 'read', message: 'rows are missing' });
      assert.equal(error.failure.transient, transient);
    }
  });

  test('keeps the text of its cause, and the cause itself', () => {
    const cause = new Error('ENOSPC');
    const error = fail('disk-full', { stage: 'upload', message: 'no', cause: cause.message }, { cause });
    assert.deepEqual([error.failure.cause, error.cause], ['ENOSPC', cause]);
    assert.ok(!('cause' in fail('disk-full', { stage: 'upload', message: 'no', cause: undefined }).failure));
  });

  test('of an error without a text still says something', () => {
    assert.equal(errorText(new RangeError('')), 'RangeError');
    assert.equal(
      errorText(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])),
      '::1 refused; 127.0.0.1 refused',
    );
    assert.equal(errorText(new AggregateError([], 'all failed')), 'all failed');
  });
});
