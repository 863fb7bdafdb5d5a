/** Opens a destination by the scheme of its URL. */
import { keyId, readPrivateKey, readPublicKey, type Signing } from '../base/signing.ts';
import type { DestinationConfig } from '../config/schema.ts';
import { openFileStore } from './file/file.ts';
import { openS3Store } from './s3/s3.ts';
import type { Store } from './store.ts';
import type { OnTrouble } from './trouble.ts';

/**
 * The store for a destination. Cheap: nothing is contacted before the first call. It is opened in the main thread and
 * again in each worker, as connections do not cross threads; whoever opens it closes it. The signal ends whatever the store
 * is doing: no server may keep somebody waiting who wants to stop.
 */
export function openStore(destination: DestinationConfig, signal: AbortSignal, onTrouble?: OnTrouble): Store {
  const store =
    destination.location.kind === 'file'
      ? openFileStore(destination.location.folder, signal, onTrouble)
      : openS3Store(destination, destination.location, signal, {}, onTrouble);
  store.signing = openSigning(destination);
  return store;
}

function openSigning({ signing, allowUnsigned = false }: DestinationConfig): Signing | undefined {
  if (signing === undefined) return undefined;
  const keys = (signing.trust ?? []).map(readPublicKey);
  return {
    key: signing.key === undefined ? undefined : readPrivateKey(signing.key),
    trust: new Map(keys.map((key) => [keyId(key), key])),
    allowUnsigned,
  };
}
