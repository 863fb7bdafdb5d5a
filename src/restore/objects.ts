/** Looks whether the objects of a restore are there, in the size that the manifest says. */
import type { ManifestObject } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';

/** An object of the run; `key` is relative to the destination's prefix, wherever the archive has been moved to. */
export interface PlannedObject extends ManifestObject {
  /** Its place in the manifest. */
  index: number;
}

const LOOKED_AT_ONCE = 8;

/** One line for each object that is missing or of another size. */
export async function checkObjects(store: Store, objects: readonly PlannedObject[]): Promise<string[]> {
  const problems = new Map<number, string>();
  const waiting = [...objects];
  const look = async (): Promise<void> => {
    for (let object = waiting.shift(); object !== undefined; object = waiting.shift()) {
      const head = await store.head(object.key);
      if (head === undefined) problems.set(object.index, `object ${object.key} is missing in ${store.url}`);
      else if (head.bytes !== object.bytes) {
        problems.set(
          object.index,
          `object ${object.key} has ${head.bytes} bytes, and ${object.bytes} in the manifest: it was changed or damaged`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: LOOKED_AT_ONCE }, look));
  return [...problems].sort(([a], [b]) => a - b).map(([, problem]) => problem);
}
