/**
 * The application whose tables are archived: it moves amounts between accounts all the time, so that no instant has the same
 * rows as another one, and each has the same sum. An archive with another sum was not of one instant.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Random } from '../support/random.ts';

export interface SoakTable {
  archive: string;
  relation: string;
  rows: number;
  /** Bytes of a row beside its numbers. */
  width: number;
  /** Of its archive in the config. */
  options: Record<string, unknown>;
}

/** What all accounts of a table have together, whatever was moved. */
export function sumOf({ rows }: SoakTable): bigint {
  return BigInt(rows) * START_BALANCE;
}

/** As many ways as there are archives: of cutting, of compressing, of catching up, of trying again. */
export const TABLES: readonly SoakTable[] = [
  {
    ...{ archive: 'by-key', relation: 'public.accounts_by_key', rows: 3000, width: 300 },
    options: { segments: { by: 'key', targetSize: '256KiB', parallel: 2 }, retry: { for: '20s', backoff: '500ms' } },
  },
  {
    ...{ archive: 'by-pages', relation: 'public.accounts_by_pages', rows: 3000, width: 300 },
    options: { segments: { by: 'pages', targetSize: '256KiB' }, compression: { codec: 'zstd' } },
  },
  {
    ...{ archive: 'all-slots', relation: 'public.accounts_all_slots', rows: 500, width: 100 },
    options: { segments: { by: 'none' }, catchUp: 'all', retry: { attempts: 3, backoff: '200ms' } },
  },
  {
    // More than a part, so that it is uploaded in several.
    ...{ archive: 'in-parts', relation: 'public.accounts_in_parts', rows: 350, width: 20_000 },
    options: { segments: { by: 'none' }, compression: { codec: 'none' }, catchUp: 'none' },
  },
];

const START_BALANCE = 1000n;
const PAUSE_MS = 50;
const AFTER_ERROR_MS = 200;

export class Application {
  readonly #url: string;
  readonly #random: Random;
  #client: pg.Client | undefined;
  #isOver = false;
  #done: Promise<void> = Promise.resolve();
  /** Transfers that the server has confirmed. */
  transfers = 0;

  constructor(url: string, random: Random) {
    this.#url = url;
    this.#random = random;
  }

  /** Makes the tables, and begins to write to them. */
  async start(): Promise<void> {
    const client = await this.#connected();
    for (const table of TABLES) await client.query(createTable(table));
    this.#done = this.#write();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
    await this.#client?.end().catch(() => undefined);
  }

  async #write(): Promise<void> {
    while (!this.#isOver) {
      try {
        for (const table of TABLES) await this.#transfer(table);
        await sleep(PAUSE_MS);
      } catch {
        // The server is being started again.
        this.#client = undefined;
        await sleep(AFTER_ERROR_MS);
      }
    }
  }

  async #transfer({ relation, rows }: SoakTable): Promise<void> {
    const client = await this.#connected();
    const from = this.#random.integer(1, rows);
    const to = (from % rows) + 1;
    await client.query(
      `UPDATE ${relation} SET balance = balance + CASE id WHEN $1 THEN -$3::bigint ELSE $3::bigint END WHERE id IN ($1, $2)`,
      [from, to, this.#random.integer(1, 100)],
    );
    this.transfers += 1;
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client !== undefined) return this.#client;
    const client = new pg.Client({ connectionString: this.#url, application_name: 'soak application' });
    client.on('error', () => undefined);
    await client.connect();
    this.#client = client;
    return client;
  }
}

function createTable({ relation, rows, width }: SoakTable): string {
  const pad = `substr(repeat(md5(i::text), ${Math.ceil(width / 32)}), 1, ${width})`;
  return `CREATE TABLE ${relation} (id int PRIMARY KEY, balance bigint NOT NULL, pad text NOT NULL) WITH (fillfactor = 50);
    ALTER TABLE ${relation} ALTER pad SET STORAGE EXTERNAL;
    INSERT INTO ${relation} SELECT i, ${START_BALANCE}, ${pad} FROM generate_series(1, ${rows}) AS i`;
}
