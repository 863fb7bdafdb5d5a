/** What a server says last on a connection that then ends: why it does, of which a broken connection itself tells nothing. */
import type { EventEmitter } from 'node:events';
import type { Client } from 'pg';

/** An error or a notice of the server, in the fields that errors of the driver have. */
export interface LastWords extends Error {
  code?: string | undefined;
  detail?: string | undefined;
  hint?: string | undefined;
}

const WORDS = new WeakMap<Client, LastWords>();

/**
 * Keeps the last error or notice, until the server says that it is ready for more: after what ends a session it never does.
 * The driver drops such words where no query waits for them. Severities are in the server's own language, so that nothing is
 * gone by those.
 */
export function listenForLastWords(client: Client): void {
  const { connection } = client as unknown as { connection: EventEmitter };
  const keep = (words: LastWords): void => {
    WORDS.set(client, words);
  };
  connection.on('errorMessage', keep);
  connection.on('notice', ({ message, code, detail, hint }: LastWords) => {
    keep(Object.assign(new Error(message), { code, detail, hint }));
  });
  connection.on('readyForQuery', () => WORDS.delete(client));
}

/** What the server said before it ended the connection; undefined when it said nothing. */
export function lastWordsOf(client: Client): LastWords | undefined {
  return WORDS.get(client);
}
