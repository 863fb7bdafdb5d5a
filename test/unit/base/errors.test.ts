import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { registerSecret } from '../../../src/base/secrets.ts';
import { errorText, FailureError, toFailure, type Failure } from '../../../src/base/errors.ts';

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
    const outer = { ...failure, code: 'outer' };
    const error = new FailureError(outer, { cause: new FailureError(failure) });
    assert.equal(toFailure(error, 'upload').code, 'outer');
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

  test('of an error without a text still says something', () => {
    assert.equal(errorText(new RangeError('')), 'RangeError');
    assert.equal(
      errorText(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])),
      '::1 refused; 127.0.0.1 refused',
    );
    assert.equal(errorText(new AggregateError([], 'all failed')), 'all failed');
  });
});
