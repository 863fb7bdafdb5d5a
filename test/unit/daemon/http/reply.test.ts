import assert from 'node:assert/strict';
import { test } from 'node:test';
import { registerSecret } from '../../../../src/base/secrets.ts';
import { json } from '../../../../src/daemon/http/reply.ts';

test('an answer of the daemon has no secret in it, at any depth, though a server echoed it', () => {
  registerSecret('c0rrect-horse');
  const { body } = json({
    runs: [{ error: { message: 'denied for c0rrect-horse', cause: 'postgres://me:open@host' } }],
  });
  assert.deepEqual(JSON.parse(body.toString()), {
    runs: [{ error: { message: 'denied for ***', cause: 'postgres://me:***@host' } }],
  });
});
