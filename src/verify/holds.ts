/** Until when Object Lock holds the objects of a run and its manifest, and which of them it does not hold as it should. */
import { FailureError } from '../base/errors.ts';
import { retrying, type RetryPolicy } from '../base/retry.ts';
import { countOf, formatDays } from '../base/units.ts';
import type { ObjectLock } from '../config/schema.ts';
import { manifestKey } from '../ledger/names.ts';
import type { RunFolder } from '../ledger/run-folder.ts';
import type { StoredManifest } from '../ledger/stored-manifest.ts';
import type { Hold } from '../store/store.ts';

/** As it is printed; the time in ISO 8601. */
export interface ShownHold {
  mode: Hold['mode'];
  until: string;
}

/** How a run is held. Objects that are not there are not counted. */
export interface HoldsReport {
  manifest: ShownHold | null;
  /** Objects that are held, and the earliest and the latest end of these holds; null where none is. */
  objects: number;
  earliest: string | null;
  latest: string | null;
  /** Objects that are not held, beside those of which nobody can say. */
  notHeld: number;
  unknown: number;
}

type Found = Awaited<ReturnType<RunFolder['store']['hold']>>;

/** Requests at once. */
const ASKED_AT_ONCE = 8;
/** Clocks of hosts and servers may be apart by as much, as S3 refuses requests of others. */
const CLOCKS_APART_MS = 15 * 60_000;
/** Objects that a warning names. */
const MOST_NAMED = 3;

const MODES = ['GOVERNANCE', 'COMPLIANCE'] as const;
/** Marks of what is not held, beside the places of {@link MODES}. */
const NOT_LOOKED_AT = 0;
const NOT_HELD = 1;
const UNKNOWN = 2;
const FIRST_MODE = 3;

/**
 * Asks of each object that is there, by its place in the manifest. Undefined where the destination is to hold nothing and the
 * manifest is not held, as then nothing is. Throws FailureError.
 */
export async function lookAtHolds(
  folder: RunFolder,
  manifest: StoredManifest,
  isThere: (at: number) => boolean,
  objectLock: ObjectLock | undefined,
  { keyPrefix, retry, signal }: { keyPrefix: string; retry: RetryPolicy; signal: AbortSignal },
): Promise<Holds | undefined> {
  // All objects have been read by now: trouble that passes is not to cost that.
  const holdOf = (key: string): Promise<Found> =>
    retrying(
      retry,
      signal,
      () => folder.store.hold(key),
      (error) => error instanceof FailureError && error.failure.transient,
    );
  const ofManifest = await holdOf(manifestKey(folder.archive, folder.run));
  if (objectLock === undefined && typeof ofManifest === 'string') return undefined;
  const holds = new Holds(manifest, ofManifest, objectLock);
  const open = toBeAsked(folder, manifest, isThere);
  const ask = async (): Promise<void> => {
    for (let next = await open.next(); next.done !== true; next = await open.next()) {
      signal.throwIfAborted();
      const { at, key } = next.value;
      holds.note(at, keyPrefix + key, await holdOf(key));
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
  return holds;
}

async function* toBeAsked(
  folder: RunFolder,
  { objects }: StoredManifest,
  isThere: (at: number) => boolean,
): AsyncGenerator<{ at: number; key: string }, undefined> {
  let at = 0;
  for await (const object of objects) {
    if (isThere(at)) yield { at, key: folder.keyOf(object) };
    at += 1;
  }
  return undefined;
}

/** Of an object it keeps a few bytes. */
export class Holds {
  readonly #manifest: Found;
  readonly #objectLock: ObjectLock | undefined;
  /** Until when it should be held at least; undefined where no hold is due any more. */
  readonly #dueMs: number | undefined;
  readonly #marks: Uint8Array;
  /** S3 holds for a hundred years: more than 32 bits can tell. */
  readonly #untilSeconds: Float64Array;
  readonly #short = new Named();
  readonly #open = new Named();
  readonly #weak = new Named();
  #unknown = 0;

  constructor({ objects, startedAt }: StoredManifest, ofManifest: Found, objectLock: ObjectLock | undefined) {
    this.#manifest = ofManifest;
    this.#objectLock = objectLock;
    const dueMs = Date.parse(startedAt) + (objectLock?.retainMs ?? 0) - CLOCKS_APART_MS;
    this.#dueMs = objectLock !== undefined && dueMs > Date.now() ? dueMs : undefined;
    this.#marks = new Uint8Array(objects.length);
    this.#untilSeconds = new Float64Array(objects.length);
    this.#judge('its manifest', ofManifest);
  }

  note(at: number, key: string, found: Found): void {
    this.#judge(key, found);
    if (typeof found === 'string') this.#marks[at] = found === 'none' ? NOT_HELD : UNKNOWN;
    else {
      this.#marks[at] = FIRST_MODE + MODES.indexOf(found.mode);
      this.#untilSeconds[at] = Math.floor(found.until.getTime() / 1000);
    }
  }

  /** Null where it is not held, as far as is known. */
  of(at: number): ShownHold | null {
    const mode = MODES[(this.#marks[at] ?? NOT_LOOKED_AT) - FIRST_MODE];
    return mode === undefined ? null : { mode, until: isoOf(this.#untilSeconds[at]) };
  }

  report(): HoldsReport {
    const held = this.#untilSeconds.filter((seconds) => seconds > 0).sort();
    return {
      manifest: typeof this.#manifest === 'string' ? null : shown(this.#manifest),
      objects: held.length,
      earliest: held.length === 0 ? null : isoOf(held[0]),
      latest: held.length === 0 ? null : isoOf(held.at(-1)),
      notHeld: this.#count(NOT_HELD),
      unknown: this.#count(UNKNOWN),
    };
  }

  /** What is to be done about them is in docs/trust.md. */
  warnings(): string[] {
    const { mode = '', retainMs = 0 } = this.#objectLock ?? {};
    return [
      ...this.#open.tell('not held'),
      ...this.#short.tell(`held for less than the ${formatDays(retainMs)} of objectLock.retain`),
      ...this.#weak.tell(`held in GOVERNANCE, while objectLock.mode is ${mode}`),
      ...(this.#unknown === 0
        ? []
        : ['how the run is held cannot be seen: that takes s3:GetObjectRetention on the objects of this prefix']),
    ];
  }

  #judge(what: string, found: Found): void {
    if (this.#dueMs === undefined) return;
    if (found === 'unknown') this.#unknown += 1;
    else if (found === 'none') this.#open.add(what);
    else if (found.until.getTime() < this.#dueMs) this.#short.add(`${what} (until ${shown(found).until})`);
    else if (found.mode === 'GOVERNANCE' && this.#objectLock?.mode === 'COMPLIANCE') this.#weak.add(what);
  }

  #count(mark: number): number {
    return this.#marks.reduce((count, one) => count + (one === mark ? 1 : 0), 0);
  }
}

/** The first few of several things, and how many there are. */
class Named {
  readonly #names: string[] = [];
  #count = 0;

  add(name: string): void {
    this.#count += 1;
    if (this.#names.length < MOST_NAMED) this.#names.push(name);
  }

  tell(how: string): string[] {
    if (this.#count === 0) return [];
    const more = this.#count - this.#names.length;
    const rest = more === 0 ? '' : ` and ${countOf(more, 'more object')}`;
    return [`${this.#names.join(', ')}${rest} ${this.#count === 1 ? 'is' : 'are'} ${how}`];
  }
}

/** In one line. */
export function describeHolds({ manifest, objects, earliest, latest, notHeld, unknown }: HoldsReport): string {
  const range = earliest === latest ? `until ${earliest ?? ''}` : `until ${earliest ?? ''} to ${latest ?? ''}`;
  const parts = [
    objects === 0 ? undefined : `${countOf(objects, 'object')} held ${range}`,
    notHeld === 0 ? undefined : `${countOf(notHeld, 'object')} not held`,
    unknown === 0 ? undefined : `${countOf(unknown, 'object')} of which nobody can say`,
    manifest === null ? 'the manifest not held' : `the manifest held until ${manifest.until} (${manifest.mode})`,
  ];
  return `Object Lock: ${parts.filter((part) => part !== undefined).join(', ')}`;
}

function shown({ mode, until }: Hold): ShownHold {
  return { mode, until: isoOf(Math.floor(until.getTime() / 1000)) };
}

function isoOf(seconds = 0): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
