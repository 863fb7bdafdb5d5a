/** Documents in a run's folder: read only where they say that they are of this very run, and signed where the destination has a key. */
import { fail, type FailureError } from '../base/errors.ts';
import { visible } from '../base/visible.ts';
import { bytesOf, ContentMeter } from '../store/content.ts';
import type { Content, PutOptions, PutResult, Replaces, Store } from '../store/store.ts';
import { badDocument, layDocument, readDocument, requireShort, type DocumentKind, type Listed } from './documents.ts';
import { runPrefix } from './names.ts';
import { openDocument, signEnd } from './signature.ts';

/** Where a run lies. */
export interface RunPlace {
  readonly store: Store;
  readonly archive: string;
  /** The run id. */
  readonly run: string;
}

/** A document that says of which run it is. */
interface Owned {
  archive: string;
  run: string;
}

export const JSON_OBJECT = { contentType: 'application/json' };

/** Of names that a document says no more than this is shown. */
const MAX_SHOWN_CHARS = 200;

/** The document of this key; undefined when it is not there. Throws FailureError for one that cannot be believed. */
export async function readOwn<T extends Owned>(
  place: RunPlace,
  kind: DocumentKind<T>,
  key: string,
  mostBytes = kind.maxBytes,
): Promise<{ document: T; etag: string } | undefined> {
  const found = await place.store.get(key, mostBytes);
  return found && { document: openOwn(place, kind, found.body, key), etag: found.etag };
}

/** What the bytes of this key say. Throws FailureError. */
export function openOwn<T extends Owned>(place: RunPlace, kind: DocumentKind<T>, body: Buffer, key: string): T {
  const document = openSigned(place, kind, body, key);
  requireOwn(place, kind, document, place.store.url + key);
  return document;
}

/** The same of one that does not say of which run it is. */
export function openSigned<T>({ store }: RunPlace, kind: DocumentKind<T>, body: Buffer, key: string): T {
  const url = store.url + key;
  return readDocument(kind, openDocument(body, store.signing, url), url);
}

/** Throws FailureError for a document of another run. */
export function requireOwn(place: RunPlace, kind: DocumentKind<unknown>, document: Owned, url: string): void {
  if (document.archive !== place.archive || document.run !== place.run) throw misplaced(kind, url, document);
}

/**
 * A document as it will lie there. All of it is made once, for its length and its digests, and again whenever it is written.
 * Throws FailureError for one that could not be read again.
 */
export function sealDocument<T>({ store }: RunPlace, kind: DocumentKind<T>, value: Listed<T>, key: string): Content {
  const url = store.url + key;
  const { before, items, itemsAgain, after } = layDocument(kind, value, url);
  const meter = new ContentMeter();
  meter.take(before);
  for (const piece of items()) meter.take(piece);
  const end = signEnd(after, () => meter.digestWith(after), store.signing);
  meter.take(end);
  const measured = meter.measured();
  requireShort(kind, measured.bytes, url);
  return {
    ...measured,
    *pieces() {
      if (before.length > 0) yield before;
      yield* itemsAgain();
      yield end;
    },
  };
}

/** What is shorter is written from one buffer. */
const LONG_BYTES = 1024 ** 2;

/** Writes a document that was sealed; with `replaces`, only over nothing or over the object that has this ETag. */
export async function putSealed(
  store: Store,
  key: string,
  content: Content,
  replaces?: Replaces,
  how: Pick<PutOptions, 'hasLooked' | 'isHeld'> = {},
): Promise<PutResult> {
  const options = { ...JSON_OBJECT, ...how, ...(replaces === undefined ? {} : { replaces }) };
  if (content.bytes > LONG_BYTES) return store.put(key, content, options);
  return store.put(key, await bytesOf(content), options);
}

/** With `replaces`, only over nothing or over the object that has this ETag. */
export async function putDocument<T>(
  place: RunPlace,
  kind: DocumentKind<T>,
  value: Listed<T>,
  key: string,
  replaces?: Replaces,
  hasLooked = false,
): Promise<PutResult> {
  return putSealed(place.store, key, sealDocument(place, kind, value, key), replaces, { hasLooked });
}

/** Of another run than its folder is named for. A run is read from where it lies or not at all: never what its document names elsewhere. */
function misplaced(kind: DocumentKind<unknown>, url: string, { archive, run }: Owned): FailureError {
  const whose = visible(`${archive} ${run}`, MAX_SHOWN_CHARS);
  if (kind.code === 'bad-journal') return badDocument(kind, url, `it is that of ${whose}`);
  const home = visible(runPrefix(archive, run), MAX_SHOWN_CHARS);
  return fail('misplaced', {
    stage: kind.stage,
    message: `${url} is not of this run: it is that of ${whose}`,
    hint: `The folder was renamed or copied. Move it back to ${home} of its destination, or remove the copy. An archive that was renamed keeps its old runs under the old name: keep or add an archive of that name in the config to read them.`,
  });
}
