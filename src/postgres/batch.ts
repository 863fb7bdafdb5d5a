/** Sends several statements at once, so that all of them take one round trip. */
import type { Client } from 'pg';
import { socketOf } from './connect.ts';
import type { DriverConnection } from './driver.ts';
import type { Statement } from './select.ts';

/** What a statement gave: values as the server prints them. */
export interface Answer {
  rows: (string | null)[][];
}

/**
 * Resolves to an answer for each statement, in their order. Rejects with the error of the first that fails; then those behind
 * it were not run, and a transaction that was open is an aborted one.
 */
export function queryTogether(client: Client, statements: readonly Statement[]): Promise<Answer[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer[]>();
  const answers: Answer[] = [];
  let rows: Answer['rows'] = [];
  client.query({
    submit: (connection: DriverConnection) => {
      const socket = socketOf(client);
      socket?.cork();
      for (const { text, params } of statements) {
        connection.parse({ text });
        connection.bind({ values: params });
        connection.execute({});
      }
      connection.sync();
      socket?.uncork();
    },
    handleDataRow: ({ fields }: { fields: (string | null)[] }) => {
      rows.push(fields);
    },
    handleCommandComplete: () => {
      answers.push({ rows });
      rows = [];
    },
    handleReadyForQuery: () => {
      resolve(answers);
    },
    handleError: reject,
  } as never);
  return promise;
}
