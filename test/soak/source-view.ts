/** What the source itself says of the daemon's sessions. */
import pg from 'pg';

export class SourceView {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** Undefined while the server is being started again. */
  async countSessions(): Promise<number | undefined> {
    const rows = await this.#ask(`SELECT count(*)::int AS count FROM pg_stat_activity WHERE ${OURS}`);
    return rows === undefined ? undefined : Number(rows[0]?.['count']);
  }

  async endSessions(): Promise<void> {
    await this.#ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OURS}`);
  }

  async #ask(sql: string): Promise<Record<string, unknown>[] | undefined> {
    const client = new pg.Client({ connectionString: this.#url, application_name: 'soak' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } catch {
      return undefined;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

const OURS = "application_name LIKE 'pgsluice%'";
