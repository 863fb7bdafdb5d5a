/** Proves that a destination can be used, by using it. */
import { randomUUID } from 'node:crypto';
import { fail, toFailure, type FailureError } from '../base/errors.ts';
import type { KeptConditions, ProbeResult, Store } from './store.ts';

/** A key as those of journals are, so that whoever may remove a journal may remove it. No archive can have this name. */
export const PROBE_FOLDER = '_pgsluice-probe/_pgsluice/';

/**
 * Writes, reads, lists and removes a small object; leaves nothing behind that it may remove, also when it fails on the way.
 * `probeConditions` tries to overwrite it on conditions that do not hold.
 */
export async function probeStore(
  store: Store,
  probeConditions: (key: string, body: Buffer) => Promise<KeptConditions>,
): Promise<Omit<ProbeResult, 'clockSkewMs'>> {
  const key = `${PROBE_FOLDER}${randomUUID()}`;
  const body = Buffer.from(`pgsluice was here to see whether it can write. This object can be removed. ${key}\n`);
  try {
    await store.put(key, body, { contentType: 'text/plain' });
    await checkRead(store, key, body);
    await checkListed(store, key);
    const keeps = await probeConditions(key, body);
    const listsUploads = typeof (await store.listUploads(key)) !== 'string';
    return { keeps, listsUploads, ...(await tidyUp(store, key)) };
  } catch (error) {
    // The failure that led here is the one to report.
    await store.remove([key]).catch(() => undefined);
    throw error;
  }
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
