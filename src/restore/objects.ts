/** The objects of a restore: their keys in the run's folder, and whether they are there. */
import type { ManifestObject } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';

/** An object of the run; `key` is relative to the destination's prefix, wherever the archive has been moved to. */
export interface PlannedObject extends ManifestObject {
  /** Its place in the manifest. */
  index: number;
}

/** An object, and the size of what lies under its key; undefined when nothing does. */
export interface FoundObject {
  object: PlannedObject;
  bytes: number | undefined;
}

const LOOKED_AT_ONCE = 8;

/** Looks every object up, in the order given. */
export async function lookAtObjects(store: Store, objects: readonly PlannedObject[]): Promise<FoundObject[]> {
  const found = objects.map((object): FoundObject => ({ object, bytes: undefined }));
  const waiting = found.values();
  const look = async (): Promise<void> => {
    for (const place of waiting) place.bytes = (await store.head(place.object.key))?.bytes;
  };
  await Promise.all(Array.from({ length: LOOKED_AT_ONCE }, look));
  return found;
}
