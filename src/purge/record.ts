/** Keeps `_purge.json`: written where there is none before the first row goes, then over what we wrote ourselves alone. */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { fail } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import { PURGE_FORMAT, type PurgedPartition, type PurgeRecord, type Totals } from '../ledger/purge.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import { again, inPart, linesOf, minus, noLines, plus, Stayed } from './tally.ts';

const WRITE_INTERVAL_MS = 10_000;

/** As it was found. */
export type FoundRecord = { record: PurgeRecord; etag: string } | undefined;

export class PurgeNotes {
  readonly #folder: RunFolder;
  readonly #head: Pick<PurgeRecord, 'source' | 'owner' | 'startedAt' | 'restored'>;
  readonly #intervalMs: number;
  readonly stayed: Stayed;
  totals: Totals;
  /** The first object that was not gone through. */
  next: number;
  rounds: number;
  partition: PurgedPartition | undefined;
  #etag: string | undefined;
  #writtenAt = 0;

  /** `anew` is there for a purge that begins again, over what was found: it says which restore it passes over. */
  constructor(
    folder: RunFolder,
    source: PurgeRecord['source'],
    found: FoundRecord,
    intervalMs = WRITE_INTERVAL_MS,
    anew?: { restored: string | undefined },
  ) {
    const record = anew === undefined ? found?.record : undefined;
    const restored = anew === undefined ? record?.restored : anew.restored;
    this.#folder = folder;
    this.#head = {
      source,
      owner: `${os.hostname()} ${process.pid} ${randomUUID()}`,
      startedAt: record?.startedAt ?? new Date().toISOString(),
      ...(restored === undefined ? {} : { restored }),
    };
    this.#intervalMs = intervalMs;
    this.stayed = new Stayed(record?.stayed);
    this.totals = record?.totals ?? noLines();
    this.next = record?.next ?? 0;
    this.rounds = record?.rounds ?? 0;
    this.partition = record?.partition;
    this.#etag = found?.etag;
  }

  /** The restore that this purge passes over. */
  get restored(): string | undefined {
    return this.#head.restored;
  }

  /** An object was gone through for the first time, or from its beginning again, where it was left in the middle. */
  add(object: number, totals: Totals): void {
    this.addAgain(object, totals);
    this.next = object + 1;
  }

  /** The totals, with what has become so far of the lines of an object that is being gone through. */
  totalsWith(object: number, part: Totals): Totals {
    const before = this.stayed.get(object);
    return plus(minus(this.totals, before), inPart(before, part));
  }

  /** An object was left in the middle: the next purge goes through it from its beginning, and knows what we deleted of it. */
  addPart(object: number, part: Totals): void {
    if (linesOf(part) === 0) return;
    this.totals = this.totalsWith(object, part);
    this.stayed.keep(object, inPart(this.stayed.get(object), part));
  }

  /** An object was gone through once more. */
  addAgain(object: number, totals: Totals): void {
    const before = this.stayed.get(object);
    const now = again(before, totals);
    this.totals = plus(minus(this.totals, before), now);
    this.stayed.set(object, now);
  }

  /** Throws FailureError `purge-taken` when what lies there is not what we wrote. */
  async write(state: PurgeRecord['state'] = 'running'): Promise<void> {
    const record: PurgeRecord = {
      format: PURGE_FORMAT,
      archive: this.#folder.archive,
      run: this.#folder.run,
      state,
      ...this.#head,
      finishedAt: state === 'done' ? new Date().toISOString() : null,
      host: os.hostname(),
      tool: TOOL,
      totals: this.totals,
      next: this.next,
      rounds: this.rounds,
      stayed: this.stayed.entries,
      ...(this.partition && { partition: this.partition }),
    };
    const result = await this.#folder.writePurge(record, this.#etag ?? 'nothing');
    if (result.outcome !== 'written')
      throw fail('purge-taken', { stage: 'purge', message: 'the record of the purge was written by somebody else' });
    this.#etag = result.etag;
    this.#writtenAt = performance.now();
  }

  /** Writes it unless it was written a moment ago. */
  async writeSometimes(): Promise<void> {
    if (performance.now() - this.#writtenAt >= this.#intervalMs) await this.write();
  }
}
