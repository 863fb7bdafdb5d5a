/** Asks one source who holds which locks, on one connection that is kept: hosts that stand by ask for all they wait for at once. */
import os from 'node:os';
import type { SourceConfig } from '../config/schema.ts';
import { withinAnswerTime } from '../postgres/answer-time.ts';
import { connectPostgres, endConnection, type Client } from '../postgres/connect.ts';
import { IS_ADVISORY, isLockOf, THIS_DATABASE } from '../postgres/held-lock.ts';
import { hostOfHolder, lockNumber, type LockTarget } from './lock.ts';

const HOLDERS_SQL = `
SELECT n.number::pg_catalog.text AS number, a.application_name AS name
FROM pg_catalog.unnest($1::pg_catalog.int8[]) AS n (number)
JOIN pg_catalog.pg_locks l ON ${IS_ADVISORY} AND ${isLockOf('n.number')}
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
WHERE l.database OPERATOR(pg_catalog.=) ${THIS_DATABASE}`;

export class LockWatch {
  readonly #source: SourceConfig;
  #client: Client | undefined;

  constructor(source: SourceConfig) {
    this.#source = source;
  }

  /**
   * The locks among these that are held, by the URLs of their folders, with the host that has each; it is empty where it is
   * not known. Throws FailureError; the next call connects anew.
   */
  async holders(folderUrls: readonly LockTarget['folderUrl'][]): Promise<Map<string, string>> {
    const urls = new Map(folderUrls.map((url) => [lockNumber(url), url]));
    try {
      this.#client ??= await this.#connect();
      const client = this.#client;
      const { rows } = await withinAnswerTime(client, () =>
        client.query<{ number: string; name: string | null }>(HOLDERS_SQL, [[...urls.keys()]]),
      );
      return new Map(rows.map(({ number, name }) => [urls.get(number) ?? '', hostOfHolder(name ?? '')]));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) await endConnection(client);
  }

  #connect(): Promise<Client> {
    const applicationName = `pgsluice standby on ${os.hostname()}:${process.pid}`;
    return connectPostgres({ url: this.#source.url, applicationName });
  }
}
