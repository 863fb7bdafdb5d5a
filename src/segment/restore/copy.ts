/** The end of a restore's pipeline: a COPY … FROM STDIN on a connection (pg-copy-streams). */
import { from, type CopyStreamQuery } from 'pg-copy-streams';
import type { Client } from '../../postgres/connect.ts';

/** Starts `statement` on `client`. The stream has finished once the server has taken all rows; `rowCount` says how many. */
export function copyIn(client: Client, statement: string): CopyStreamQuery {
  const stream = client.query(from(statement));
  // After the pipeline has ended, the server may still say that the COPY was broken off; nobody else listens then.
  stream.on('error', () => undefined);
  return stream;
}
