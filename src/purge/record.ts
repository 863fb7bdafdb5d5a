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

  /** Lines of the next object that were gone through before it was left in the middle. */
  get linesOfNext(): number {
    return linesOf(this.stayed.get(this.next));
  }

  /** The next object was gone through to its end; what became of the lines that were not before. */
  add(rest: Totals): void {
    this.totals = plus(this.totals, rest);
    this.stayed.set(this.next, plus(this.stayed.get(this.next), rest));
    this.next += 1;
  }

  /** The totals, with what has become so far of the lines of an object that is being gone through: the next one, or one once more. */
  totalsWith(object: number, part: Totals): Totals {
    if (object === this.next) return plus(this.totals, part);
    const before = this.stayed.get(object);
    return plus(minus(this.totals, before), inPart(before, part));
  }

  /** The next object was left in the middle: the next purge goes on behind these lines, so that what comes back of them stays. */
  addPart(part: Totals): void {
    if (linesOf(part) === 0) return;
    this.totals = plus(this.totals, part);
    this.stayed.keep(this.next, plus(this.stayed.get(this.next), part));
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
