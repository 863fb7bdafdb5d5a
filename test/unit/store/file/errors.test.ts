import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fail } from '../../../../src/base/errors.ts';
import type { FailureCode } from '../../../../src/base/failures.ts';
import { errorCode, toFileFailure } from '../../../../src/store/file/errors.ts';

const CODES: readonly (readonly [given: string, code: FailureCode, transient: boolean, hint: RegExp])[] = [
  ['ENOSPC', 'disk-full', false, /Free space.*--run-id/],
  ['EDQUOT', 'disk-full', false, /quota/],
  ['EACCES', 'access-denied', false, /chown/],
  ['EPERM', 'access-denied', false, /chown/],
  ['EROFS', 'read-only', false, /read-write/],
  ['ENOENT', 'folder-missing', false, /mounted/],
  ['ENOTDIR', 'folder-missing', false, /is a folder/],
  ['EISDIR', 'key-refused', false, /move it away/],
  ['ENXIO', 'key-refused', false, /remove it/],
  ['ENAMETOOLONG', 'key-refused', false, /shorter/],
  ['ELOOP', 'symlink-refused', false, /link/],
  ['EFBIG', 'object-too-large', false, /targetSize/],
  ['ENOTSUP', 'links-unsupported', false, /hard links/],
  ['EIO', 'disk-error', true, /kernel/],
  ['ESTALE', 'disk-error', true, /network file system/],
  ['ETIMEDOUT', 'disk-error', true, /kernel/],
  ['EMFILE', 'too-many-open-files', true, /LimitNOFILE/],
  ['ENFILE', 'too-many-open-files', true, /file-max/],
  ['EXDEV', 'file-internal', false, /report/],
  ['ERR_INVALID_ARG_TYPE', 'file-internal', false, /report/],
];

describe('an error of the file system', () => {
  for (const [given, code, transient, hint] of CODES) {
    test(`with the code ${given} is ${code}`, () => {
      const cause = Object.assign(new Error(`${given}: no`), { code: given });
      const error = toFileFailure(cause, 'writing /srv/a');
      assert.deepEqual([error.failure.code, error.failure.transient], [code, transient]);
      assert.match(error.failure.hint, hint);
      assert.equal(error.failure.message, `writing /srv/a failed: ${given}: no`);
      assert.equal(error.cause, cause);
      assert.equal(errorCode(cause), given);
    });
  }

  test('is passed on when it is a failure already; what is no error becomes one too', () => {
    const known = fail('disk-full', { stage: 'upload', message: 'no' });
    assert.equal(toFileFailure(known, 'writing'), known);
    for (const thrown of [undefined, null, 'text', new Error('no')])
      assert.equal(toFileFailure(thrown, 'writing').failure.code, 'file-internal');
    assert.equal(errorCode({ code: 5 }), '');
  });
});
