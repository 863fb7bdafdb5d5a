/** A destination that is read no faster than the pace of its archive grants. */
import type { Pace } from '../pace/pace.ts';
import type { Store } from '../store/store.ts';

/** `ratio` is how many bytes of JSON Lines, which a pace goes by, come of a byte that is stored. */
export function pacedStore(store: Store, pace: Pace, ratio: number): Store {
  async function* read(key: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    await pace.turn(signal);
    for await (const slice of store.read(key, signal)) {
      await pace.grant(Math.ceil(slice.length * ratio), signal);
      yield slice;
    }
  }
  const paced = (key: string, signal: AbortSignal): AsyncIterable<Buffer> => read(key, signal);
  return new Proxy(store, {
    get(target, name: keyof Store) {
      if (name === 'read') return paced;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
