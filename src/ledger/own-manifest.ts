/** Reads a manifest from a run's folder: it is believed only where its objects are of that folder, each in the one of its value. */
import { isDeepStrictEqual } from 'node:util';
import { visible } from '../base/visible.ts';
import { ContentMeter } from '../store/content.ts';
import type { Content } from '../store/store.ts';
import type { ChainFields } from './chain.ts';
import { badDocument, layDocument } from './documents.ts';
import { listLinesOf } from './long-list.ts';
import {
  completeManifest,
  folderOfObject,
  isStrayPartition,
  MANIFEST,
  STRAY_PARTITION,
  type ManifestHead,
  type ManifestObject,
} from './manifest.ts';
import { folderOfDataKey, manifestKey, runPrefix, segmentOfDataKey } from './names.ts';
import { requireOwn, type RunPlace } from './own-documents.ts';
import { signEnd } from './signature.ts';
import { ManifestReader, type StoredManifest } from './stored-manifest.ts';

/**
 * The manifest of this key; undefined when it is not there. Throws FailureError for one that cannot be believed. `onPiece` gets
 * its bytes as they come, which are valid until it returns.
 */
export async function readManifest(
  place: RunPlace,
  key: string,
  onPiece?: (piece: Buffer) => void,
): Promise<StoredManifest | undefined> {
  const { store } = place;
  const url = store.url + key;
  const seen = { stray: -1, isInOrder: true };
  const columns: Pick<ManifestHead, 'partitionBy'> = {};
  const reader = new ManifestReader(url, (object, index) => {
    if (!holds(place, object.key)) seen.stray = seen.stray === -1 ? index : seen.stray;
    else if (object.partition !== undefined || object.rows > 0) {
      columns.partitionBy ??= Object.keys(object.partition ?? {});
      seen.isInOrder &&= describeMisplaced(place, columns, object) === undefined;
    }
  });
  const found = await store.scan(key, MANIFEST.maxBytes, (piece) => {
    onPiece?.(piece);
    reader.write(piece);
  });
  if (found === undefined) return undefined;
  const manifest = reader.end(store.signing, (from, bytes) => store.getPart(key, from, bytes));
  requireOwn(place, MANIFEST, manifest, url);
  if (seen.stray !== -1)
    throw badDocument(MANIFEST, url, `objects[${seen.stray}].key: it does not lie in ${prefixOf(place)}`);
  // By which columns the folders are is known at the end. The first object names them in the same order, as a rule.
  const { partitionBy = [] } = manifest;
  const isAsRead = isDeepStrictEqual(columns.partitionBy ?? partitionBy, partitionBy);
  if (!seen.isInOrder || !isAsRead) await requireFolders(place, manifest, url);
  return manifest;
}

/**
 * A manifest that was read, as it will lie there with another place in the chain. Its objects were believed when it was read, and
 * are read again whenever it is written.
 */
export async function resealManifest(
  { store }: RunPlace,
  { objects, ...head }: StoredManifest,
  { previous, passedOver }: ChainFields,
): Promise<Content> {
  const { previous: _before, passedOver: _earlier, ...rest } = head;
  const fields = { previous, ...(passedOver === undefined ? {} : { passedOver }) };
  // How many there are, and none of them.
  const unlisted = { length: objects.length, [Symbol.iterator]: () => [].values() };
  const listed = completeManifest({ ...rest, ...fields }, unlisted);
  const { before, after } = layDocument(MANIFEST, listed, store.url + manifestKey(head.archive, head.run));
  const meter = new ContentMeter();
  meter.take(before);
  for await (const piece of listLinesOf(objects)) meter.take(piece);
  const end = signEnd(after, () => meter.digestWith(after), store.signing);
  meter.take(end);
  return {
    ...meter.measured(),
    async *pieces() {
      yield before;
      yield* listLinesOf(objects);
      yield end;
    },
  };
}

/** Where an object of a manifest lies, relative to the destination's prefix, wherever the folder was moved to. */
export function keyInRun(place: Pick<RunPlace, 'archive' | 'run'>, key: string): string {
  return key.slice(key.lastIndexOf(prefixOf(place)));
}

/** A manifest names whole keys, and the prefix of the destination that it was written to may have been another one. */
function holds(place: RunPlace, key: string): boolean {
  const at = key.lastIndexOf(prefixOf(place));
  const isInFolder = at === 0 || (at > 0 && key[at - 1] === '/');
  return isInFolder && segmentOfDataKey(place.archive, place.run, key.slice(at)) !== undefined;
}

async function requireFolders(place: RunPlace, manifest: StoredManifest, url: string): Promise<void> {
  let at = 0;
  for await (const object of manifest.objects) {
    const problem = describeMisplaced(place, manifest, object);
    if (problem !== undefined) throw badDocument(MANIFEST, url, `objects[${at}].${problem}`);
    at += 1;
  }
}

/** What is wrong with the value or the folder of an object, beginning with its field; undefined when nothing is. */
function describeMisplaced(
  place: RunPlace,
  columns: Pick<ManifestHead, 'partitionBy'>,
  object: ManifestObject,
): string | undefined {
  if (isStrayPartition(columns, object)) return `partition: ${STRAY_PARTITION}`;
  const folder = folderOfObject(columns, object);
  if (folder === undefined || folder === folderOf(place, object.key)) return undefined;
  return `key: it does not lie in the folder of its value, ${visible(prefixOf(place) + folder)}`;
}

function prefixOf({ archive, run }: Pick<RunPlace, 'archive' | 'run'>): string {
  return runPrefix(archive, run);
}

function folderOf(place: RunPlace, key: string): string {
  return folderOfDataKey(place.archive, place.run, keyInRun(place, key)) ?? '';
}
