import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FailureError } from '../../../../src/base/errors.ts';
import { chooseCompressor } from '../../../../src/format/compress/codec.ts';

// On such a machine ISA-L is not used, whatever is installed on this one.
Object.defineProperty(process, 'arch', { value: 'riscv64' });

describe('on a machine without ISA-L', () => {
  test('a config that insists on it fails, and says how to go on', () => {
    assert.throws(
      () => chooseCompressor({ codec: 'gzip', engine: 'isal' }),
      (error) => {
        assert.ok(error instanceof FailureError);
        const { code, transient, message, hint } = error.failure;
        assert.deepEqual([code, transient], ['engine-missing', false]);
        assert.match(message, /not used on riscv64/);
        assert.match(hint, /libisal2/);
        return true;
      },
    );
  });

  test('a config that leaves the choice has zlib, and is told why', () => {
    const { engine, fallback } = chooseCompressor({ codec: 'gzip', engine: 'auto' });
    assert.equal(engine, 'zlib');
    assert.match(fallback ?? '', /riscv64/);
  });
});
