/** Makes a connection take one statement at a time, whatever text it is given. */
import type { Client } from 'pg';

type Query = (query: unknown, values?: unknown) => unknown;

/**
 * From now on all texts go by the extended protocol, also those without parameters: the server refuses what turns out to be
 * several statements. Otherwise a `;` in a name or a type, which somebody else chose, would begin a statement of his own.
 */
export function sendOneStatementEach(client: Client): void {
  const query = client.query.bind(client) as Query;
  const send: Query = (given, values) => {
    if (typeof given === 'string') return query({ text: given, values, queryMode: 'extended' });
    // What sends itself, such as a COPY, is left to do so.
    return query(hasText(given) ? { ...given, queryMode: 'extended' } : given, values);
  };
  client.query = send as Client['query'];
}

function hasText(given: unknown): given is { text: string } {
  return typeof given === 'object' && given !== null && 'text' in given && !('submit' in given);
}
