/** Proves that a destination can be used, by using it. */
import { randomUUID } from 'node:crypto';
import { fail, type FailureError } from '../base/errors.ts';
import type { ProbeResult, Store } from './store.ts';

/**
 * Writes, reads, lists and removes a small object; leaves nothing behind, also when it fails on the way.
 * `refusesOverwrite` tries to overwrite it on the condition that it is not there.
 */
export async function probeStore(
  store: Store,
  refusesOverwrite: (key: string, body: Buffer) => Promise<boolean>,
): Promise<Omit<ProbeResult, 'clockSkewMs'>> {
  const key = `_pgsluice-probe-${randomUUID()}`;
  const body = Buffer.from(`pgsluice was here to see whether it can write. This object can be removed. ${key}\n`);
  try {
    await store.put(key, body, { contentType: 'text/plain' });
    await checkRead(store, key, body);
    await checkListed(store, key);
    const createOnly = await refusesOverwrite(key, body);
    const listsUploads = (await store.listUploads(key)) !== 'unsupported';
    await store.remove([key]);
    return { createOnly, listsUploads };
  } catch (error) {
    // The failure that led here is the one to report.
    await store.remove([key]).catch(() => undefined);
    throw error;
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
