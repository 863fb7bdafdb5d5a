/** How far the replicas of a source are behind, by what it says of them time after time. */
import type { Replication, Sender } from '../postgres/replicas.ts';

/** What is known now; the first that holds. */
export type Lag =
  /** The largest of the replicas that count; of a standby, its own. */
  | { kind: 'known'; ms: number; who: string }
  /** One was behind when it was looked at first, and has not come to where the primary was then. */
  | { kind: 'unknown'; atLeastMs: number; who: string }
  /** Of some it cannot be seen. */
  | { kind: 'hidden'; who: string }
  /** There is none; slots that nobody uses may be of one that is away. */
  | { kind: 'none'; inactiveSlots: readonly string[] };

interface Written {
  position: bigint;
  atMs: number;
}

/** More positions are not kept: of those between, every second one is enough. */
const MOST_KEPT = 1000;
const NEWEST_KEPT = 100;
/** Takes a copy of the server, and replays nothing. */
const BACKUP = 'backup';

export class ReplicaLag {
  readonly #ignored: ReadonlySet<string>;
  /** What was written when, oldest first: what a replica has replayed tells how old it is. */
  #written: Written[] = [];

  constructor(ignored: readonly string[] = []) {
    this.#ignored = new Set(ignored);
  }

  /** Takes in what was found at `nowMs`, of a clock that only goes on; to be called every few seconds. */
  judge(found: Replication, nowMs: number): Lag {
    if (found.kind === 'standby') {
      const { delayMs } = found;
      return delayMs === null
        ? { kind: 'hidden', who: 'the standby that is read' }
        : { kind: 'known', ms: delayMs, who: 'the standby that is read' };
    }
    this.#note(found.written, nowMs);
    const senders = found.senders.filter(
      ({ name, slot, isLogical }) =>
        !isLogical && !this.#ignored.has(name) && !(slot !== null && this.#ignored.has(slot)),
    );
    const hidden = senders.find(({ state }) => state === null);
    if (hidden !== undefined) return { kind: 'hidden', who: describe(hidden) };
    const replicas = senders.filter(({ state, replayed }) => state !== BACKUP && replayed !== null);
    if (replicas.length === 0)
      return { kind: 'none', inactiveSlots: found.inactiveSlots.filter((slot) => !this.#ignored.has(slot)) };
    const behind = replicas.map((sender) => ({ ...this.#lagOf(sender, found.written, nowMs), who: describe(sender) }));
    const unknown = behind.find(({ isKnown }) => !isKnown);
    if (unknown !== undefined) return { kind: 'unknown', atLeastMs: unknown.ms, who: unknown.who };
    const { ms, who } = behind.reduce((worst, each) => (each.ms > worst.ms ? each : worst));
    return { kind: 'known', ms, who };
  }

  /**
   * The server's own figure is none when nothing is written, and an old one right after: so it counts only while bytes are
   * behind, and a replay that stands still is told by how long ago all was written that is replayed.
   */
  #lagOf({ replayed, replayLagMs }: Sender, written: bigint, nowMs: number): { ms: number; isKnown: boolean } {
    if (replayed === null || replayed >= written) return { ms: 0, isKnown: true };
    const newest = this.#written.findLast(({ position }) => position <= replayed);
    const sinceMs = nowMs - (newest ?? this.#written[0] ?? { atMs: nowMs }).atMs;
    return { ms: Math.max(replayLagMs ?? 0, sinceMs), isKnown: newest !== undefined };
  }

  #note(position: bigint, atMs: number): void {
    const last = this.#written.at(-1);
    // Where nothing was written, all that is replayed is as new as that.
    if (last?.position === position) last.atMs = atMs;
    else this.#written.push({ position, atMs });
    if (this.#written.length > MOST_KEPT)
      this.#written = this.#written.filter((_, at, { length }) => at % 2 === 0 || length - at < NEWEST_KEPT);
  }
}

function describe({ name, address, slot }: Sender): string {
  const called = name === '' ? (slot ?? 'one without a name') : name;
  return `replica ${called}${address === '' ? '' : ` at ${address}`}`;
}
