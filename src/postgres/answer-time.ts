/** A server that falls silent on an open connection would hold the run up for ever: then the connection is cut. */
import type { Client } from 'pg';
import { socketOf } from './connect.ts';

/** A question that takes the server no time must be answered within this. */
const ANSWER_TIMEOUT_MS = 20_000;

/** Does `work`, which asks `client` for what takes the server no time. When it is not answered, the connection breaks. */
export async function withinAnswerTime<T>(client: Client, work: () => Promise<T>): Promise<T> {
  const deadline = setTimeout(() => {
    socketOf(client)?.destroy();
  }, ANSWER_TIMEOUT_MS);
  try {
    return await work();
  } finally {
    clearTimeout(deadline);
  }
}
