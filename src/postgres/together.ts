/** Statements that do not wait for each other's answers: on a distant server, a round trip each is most of what they take. */
import type { Client } from 'pg';

/**
 * Does what `ask` begins; the statements of it that are asked for at the same time go to the server at the same time. It takes
 * them one by one, in that order, and each is answered for itself. Throws what the first of them failed with, once all are over.
 * No cursor and no COPY may be among them.
 */
export async function together<T extends readonly unknown[]>(
  client: Client,
  ask: () => readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const driver = client as Client & { pipeline: boolean };
  driver.pipeline = true;
  try {
    const asked: readonly Promise<unknown>[] = ask();
    const answers = await Promise.allSettled(asked);
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
    return answers.map((answer) => (answer as PromiseFulfilledResult<unknown>).value) as unknown as T;
  } finally {
    driver.pipeline = false;
  }
}
