/** The end of a segment on the connection that read it: the lock is asked for, and the transaction ends. */
import { fail } from '../../base/errors.ts';
import { withinAnswerTime } from '../../postgres/answer-time.ts';
import { queryTogether } from '../../postgres/batch.ts';
import type { Client } from '../../postgres/connect.ts';
import { postgresFailure } from '../../postgres/errors.ts';
import { heldLockStatement, type HeldLock } from '../../postgres/held-lock.ts';
import type { Statement } from '../../postgres/select.ts';

/** What a statement of the operator's may have left to the session: settings go with the transaction, these locks do not. */
const UNLOCK: Statement = { text: 'SELECT pg_catalog.pg_advisory_unlock_all()', params: [] };
const ROLLBACK: Statement = { text: 'ROLLBACK', params: [] };

/**
 * Ends the transaction once its rows were read; then the session is as it was before. Throws FailureError, `session-lost` when
 * the lock under which the segment was begun is not held any more.
 */
export async function endReading(client: Client, lock: HeldLock | undefined): Promise<void> {
  const asked = lock === undefined ? [] : [heldLockStatement(lock)];
  const answers = await withinAnswerTime(client, async () => {
    try {
      return await queryTogether(client, [...asked, UNLOCK, ROLLBACK]);
    } catch (error) {
      throw postgresFailure(error, 'lock', 'asking for the lock');
    }
  });
  if (lock === undefined || answers[0]?.rows.length === 1) return;
  throw fail('session-lost', {
    stage: 'lock',
    message: `backend ${lock.pid} holds the lock of the run no more: the segment is not finished`,
  });
}
