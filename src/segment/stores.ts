/** The destinations that a thread has open: that of a segment which went well is kept for the next one. */
import type { DestinationConfig } from '../config/schema.ts';
import { NEVER } from '../base/signals.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { Kept } from '../base/kept.ts';

/** By the object that a thread has of it for each generation of the config: after a reload it is another one. */
const kept = new Kept<DestinationConfig, Store>((store) => {
  store.close();
});

/** A store under no signal, to be used through `under`. It belongs to whoever takes it, until it is kept or closed. */
export function takeStore(destination: DestinationConfig): Store {
  return kept.take(destination) ?? openStore(destination, NEVER);
}

export function keepStore(destination: DestinationConfig, store: Store): Promise<void> {
  return kept.keep(destination, store);
}
