/** Whether a host that was in trouble reaches the ends of a segment again: asked before it takes another one. */
import { connectPostgres, endConnection } from '../../postgres/connect.ts';
import type { Ends } from '../../segment/binding.ts';
import { openStore } from '../../store/open.ts';

/** A destination that does not answer for so long is in trouble still. */
const ANSWER_MS = 10_000;

/** Rejects where one of the two does not answer; what an object is there, if any, does not matter. */
export async function probeEnds({ database, destination }: Ends, key: string): Promise<void> {
  const store = openStore(destination, AbortSignal.timeout(ANSWER_MS));
  try {
    await store.head(key);
  } finally {
    store.close();
  }
  await endConnection(await connectPostgres({ ...database, applicationName: 'pgsluice worker' }));
}
