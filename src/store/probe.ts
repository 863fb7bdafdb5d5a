/** Proves that a destination can be used, by using it. */
import { randomUUID } from 'node:crypto';
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import { within } from '../base/signals.ts';
import { formatDuration } from '../base/units.ts';
import type { KeptConditions, ProbeResult, Store } from './store.ts';

/** A key as those of journals are, so that whoever may remove a journal may remove it. No archive can have this name. */
export const PROBE_FOLDER = '_pgsluice-probe/_pgsluice/';

/** A step that takes longer is given up: whoever asks sits and waits. It leaves time for a second try to connect. */
const STEP_LIMIT_MS = 30_000;

/** Who did not answer in time is not waited for as long again, only for something to be removed that it may not have. */
const SHARE_FOR_LAST_WORDS = 0.1;

/** What a kind of destination adds to the probe. */
export interface ProbeSteps {
  /** Tries to overwrite the object on conditions that do not hold. */
  conditions: (key: string, body: Buffer) => Promise<KeptConditions>;
  /** Tries whether objects can be held, and says how they are; undefined where none are to be. */
  hold?: (key: string) => Promise<string | undefined>;
  /** How far this machine's clock was ahead at the last answer. */
  clockSkewMs: () => number | undefined;
  /** What else the destination says of itself, each in no more than that time; they do not throw. */
  facts: readonly ((limitMs: number) => Promise<string>)[];
}

/** See {@link Store.probe}. Leaves nothing behind that it may remove, also when it fails on the way. */
export async function probeStore(
  store: Store,
  steps: ProbeSteps,
  tell: (found: Partial<ProbeResult>) => void = () => undefined,
  limitMs = STEP_LIMIT_MS,
): Promise<ProbeResult> {
  const key = `${PROBE_FOLDER}${randomUUID()}`;
  const body = Buffer.from(`pgsluice was here to see whether it can write. This object can be removed. ${key}\n`);
  const found: ProbeResult = { clockSkewMs: undefined, keeps: { put: false, complete: false }, listsUploads: false };
  const add = (more: Partial<ProbeResult>): void => {
    Object.assign(found, more);
    tell(more);
  };
  const facts: string[] = [];
  const addFact = (fact: string): void => {
    facts.push(fact);
    tell({ facts: [fact] });
  };
  const step = <T>(what: string, work: () => Promise<T>, stepMs = limitMs): Promise<T> =>
    within(stepMs, () => lateFailure(`${store.url}: ${what}`, stepMs), work);
  try {
    await step('to write, read and list an object', () => use(store, key, body));
    add({ clockSkewMs: steps.clockSkewMs() });
    add({ keeps: await step('to try the conditions of writes', () => steps.conditions(key, body)) });
    add({ listsUploads: await step('to list unfinished uploads', () => listsUploads(store, key)) });
    const held = await step('to try its Object Lock', async () => steps.hold?.(key));
    if (held !== undefined) addFact(held);
    const { left } = await step('to remove an object', () => tidyUp(store, key));
    if (left !== undefined) add({ left });
  } catch (error) {
    // The failure that led here is the one to report.
    const isLate = toFailure(error, 'connect').code === 'timeout';
    const removalMs = isLate ? limitMs * SHARE_FOR_LAST_WORDS : limitMs;
    await step('to remove an object', () => store.remove([key]), removalMs).catch(() => undefined);
    throw error;
  }
  for (const ask of steps.facts) addFact(await ask(limitMs));
  return facts.length === 0 ? found : { ...found, facts };
}

async function use(store: Store, key: string, body: Buffer): Promise<void> {
  await store.put(key, body, { contentType: 'text/plain' });
  await checkRead(store, key, body);
  await checkListed(store, key);
}

async function listsUploads(store: Store, key: string): Promise<boolean> {
  return typeof (await store.listUploads(key)) !== 'string';
}

/** Of a step that was given up. */
export function lateFailure(what: string, limitMs: number): FailureError {
  const message = `${what} took more than ${formatDuration(limitMs)}, and was given up`;
  return fail('timeout', { stage: 'connect', message });
}

/** What may be written may not always be removed: then it stays, and is named. */
async function tidyUp(store: Store, key: string): Promise<Pick<ProbeResult, 'left'>> {
  try {
    await store.remove([key]);
    return {};
  } catch (error) {
    return { left: { key, failure: toFailure(error, 'connect') } };
  }
}

async function checkRead(store: Store, key: string, body: Buffer): Promise<void> {
  const read = await store.get(key, body.length);
  if (read?.body.equals(body) !== true) throw probeFailure(`${store.url}${key} was written, but reads differently`);
}

async function checkListed(store: Store, key: string): Promise<void> {
  for await (const object of store.list(key)) {
    if (object.key === key) return;
  }
  throw probeFailure(`${store.url}${key} was written, but is not listed`);
}

function probeFailure(message: string): FailureError {
  return fail('probe-failed', {
    stage: 'connect',
    message,
  });
}
