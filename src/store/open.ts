/** Opens a destination by the scheme of its URL. */
import type { DestinationConfig } from '../config/schema.ts';
import { openFileStore } from './file/file.ts';
import { openS3Store } from './s3/s3.ts';
import type { Store } from './store.ts';

/**
 * The store for a destination. Cheap: nothing is contacted before the first call. It is opened in the main thread and
 * again in each worker, as connections do not cross threads; whoever opens it closes it.
 */
export function openStore(destination: DestinationConfig): Store {
  return destination.location.kind === 'file'
    ? openFileStore(destination.location.folder)
    : openS3Store(destination, destination.location);
}
