/** Deletes, or counts, the lines of a stretch in batches: each one a transaction of its own, as large as 250 ms allow. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../base/errors.ts';
import type { Client } from '../postgres/connect.ts';
import { postgresFailure, sqlStateOf } from '../postgres/errors.ts';
import { setAllForTransaction } from '../postgres/settings.ts';
import type { Outcome, Totals } from '../ledger/purge.ts';
import { mayKeep, readHazards } from './hazards.ts';
import { DIGEST_BYTES, type Stretch } from './proof.ts';
import type { DoneBatch } from './request.ts';
import { noLines, plus } from './tally.ts';
import type { PreparedPurge } from './target.ts';

const AIM_MS = 250;
const FEWEST_ROWS = 100;
const MOST_ROWS = 5000;
const MOST_BYTES = 8 * 1024 ** 2;

/** Rows are never waited for; a lock on the table, or a row of a table that refers to it, may be. */
const LOCK_TIMEOUT = '2s';
const STATEMENT_TIMEOUT_MS = 60_000;
const LOCK_TRIES = 3;

/** A row that refers to one of ours was committed meanwhile. */
const REFERENCED: ReadonlySet<string> = new Set(['23503', '23001']);
/** Lock not available, deadlock, serialization failure. */
const LOCKED: ReadonlySet<string> = new Set(['55P03', '40P01', '40001']);
const CANCELLED = '57014';
/** A trigger that fired for one row has changed another one of the batch: alone, it is seen as changed when its turn comes. */
const CHANGED_BY_TRIGGER = '27000';

/** What the statements give. */
interface Removed {
  locked: number;
  deleted: number;
  /** As Postgres prints an array; null for none. */
  kept: string | null;
}

interface Found {
  outcome: Exclude<Outcome, 'deleted' | 'absent' | 'locked' | 'kept'> | 'equal';
  lines: number;
}

export class Batches {
  readonly #client: Client;
  readonly #prepared: Omit<PreparedPurge, 'key'>;
  readonly #execute: boolean;
  #rows = 1000;

  constructor(client: Client, prepared: Omit<PreparedPurge, 'key'>, execute: boolean) {
    this.#client = client;
    this.#prepared = prepared;
    this.#execute = execute;
  }

  /** Goes through the stretch, batch by batch; whoever asks for no further one ends it. Throws FailureError. */
  async *goThrough(stretch: Stretch): AsyncGenerator<DoneBatch & { totals: Totals }, void, undefined> {
    const { length } = stretch.sizes;
    for (let from = 0; from < length;) {
      const to = this.#endOfBatch(stretch, from);
      const started = performance.now();
      const totals = await this.#batch(stretch, from, to);
      const ms = performance.now() - started;
      this.#adapt(to - from, ms);
      const bytes = stretch.sizes.subarray(from, to).reduce((sum, size) => sum + size, 0);
      yield { rows: to - from, bytes, ms, totals };
      from = to;
    }
  }

  #endOfBatch({ sizes }: Stretch, from: number): number {
    let to = from;
    let bytes = 0;
    while (to < sizes.length && to - from < this.#rows) {
      bytes += sizes[to] ?? 0;
      if (bytes > MOST_BYTES && to > from) break;
      to += 1;
    }
    return to;
  }

  #adapt(rows: number, ms: number): void {
    const fitting = (rows * AIM_MS) / Math.max(ms, 1);
    // Never far at once: one slow batch tells little.
    const next = Math.min(this.#rows * 2, Math.max(this.#rows / 2, fitting));
    if (rows >= this.#rows || fitting < this.#rows)
      this.#rows = Math.round(Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, next)));
  }

  async #batch(stretch: Stretch, from: number, to: number): Promise<Totals> {
    const params = this.#parameters(stretch, from, to);
    for (let tries = 1; ; tries += 1) {
      const started = performance.now();
      try {
        return this.#execute ? await this.#remove(params, to - from) : await this.#count(params, to - from);
      } catch (error) {
        await this.#client.query('ROLLBACK').catch(() => undefined);
        const state = sqlStateOf(error);
        const timedOut = state === CANCELLED && performance.now() - started >= STATEMENT_TIMEOUT_MS;
        if (REFERENCED.has(state) && tries === 1) continue;
        if (REFERENCED.has(state) || state === CHANGED_BY_TRIGGER || timedOut) {
          if (to - from > 1) return await this.#halves(stretch, from, to);
          if (REFERENCED.has(state)) return { ...noLines(), referenced: 1 };
          if (state === CHANGED_BY_TRIGGER) return { ...noLines(), kept: 1 };
        }
        if (!LOCKED.has(state)) throw postgresFailure(error, 'purge', 'deleting a batch of rows');
        if (tries === LOCK_TRIES) return { ...noLines(), locked: to - from };
        await sleep(AIM_MS * tries);
      }
    }
  }

  async #halves(stretch: Stretch, from: number, to: number): Promise<Totals> {
    const middle = from + Math.ceil((to - from) / 2);
    return plus(await this.#batch(stretch, from, middle), await this.#batch(stretch, middle, to));
  }

  async #remove(params: readonly unknown[], rows: number): Promise<Totals> {
    await this.#client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE');
    await this.#setSettings();
    await this.#client.query('SET CONSTRAINTS ALL IMMEDIATE');
    const { rows: found } = await this.#client.query<Removed>(this.#prepared.statements.remove, [...params]);
    const [removed] = found;
    if (removed === undefined) throw new Error('the statement that deletes gave no row');
    const { locked, deleted, kept } = removed;
    // Without a trigger that can keep a row, it was updated to the same content right before it was locked: it goes once it is looked at again.
    const stayed = locked > deleted && mayKeep(this.#prepared.hazards) ? 'kept' : 'locked';
    const totals = { ...noLines(), deleted, [stayed]: locked - deleted };
    if (locked > 0) await this.#assertUnchanged();
    // Why the others stayed, in the same transaction: what is equal, and was not locked by us, is locked by somebody else.
    if (locked < rows) await this.#setSettings();
    const left = locked === rows ? [] : await this.#look(params, kept ?? '{}');
    await this.#client.query('COMMIT');
    return account(totals, left, rows - locked, 'locked');
  }

  async #count(params: readonly unknown[], rows: number): Promise<Totals> {
    await this.#client.query('BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY');
    await this.#setSettings();
    const found = await this.#look(params, '{}');
    await this.#client.query('ROLLBACK');
    return account(noLines(), found, rows, 'deleted');
  }

  /**
   * After the rows, and before they are gone for good: what was committed before is seen, such as a foreign key that has just
   * cascaded, and whoever makes one now waits for our lock. Throws FailureError.
   */
  async #assertUnchanged(): Promise<void> {
    const { oid, hazards } = this.#prepared;
    if ((await readHazards(this.#client, oid)) === hazards) return;
    const message = 'the table is not what it was when the purge began; the batch was rolled back';
    throw fail('purge-table-changed', { stage: 'purge', message });
  }

  /** Before each statement that compares: a trigger may have changed them. */
  async #setSettings(): Promise<void> {
    const statementTimeout = `${STATEMENT_TIMEOUT_MS}ms`;
    await setAllForTransaction(this.#client, { lock_timeout: LOCK_TIMEOUT, statement_timeout: statementTimeout });
  }

  /** `leftOut` are numbers of lines. */
  async #look(params: readonly unknown[], leftOut: string): Promise<Found[]> {
    return (await this.#client.query<Found>(this.#prepared.statements.look, [...params, leftOut])).rows;
  }

  #parameters({ keys, digests }: Stretch, from: number, to: number): unknown[] {
    return [
      ...keys.map((values) => values.slice(from, to)),
      digests.subarray(from * DIGEST_BYTES, to * DIGEST_BYTES),
      ...this.#prepared.bounds,
    ];
  }
}

/** Adds `rows` lines: those that were found, by what they are, and the others as absent. */
function account(totals: Totals, found: readonly Found[], rows: number, equalIs: 'locked' | 'deleted'): Totals {
  const sum = { ...totals, absent: totals.absent + rows };
  for (const { outcome, lines } of found) {
    sum.absent -= lines;
    sum[outcome === 'equal' ? equalIs : outcome] += lines;
  }
  return sum;
}
