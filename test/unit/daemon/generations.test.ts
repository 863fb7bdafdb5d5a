import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test } from 'node:test';
import type { Config } from '../../../src/config/schema.ts';
import { Generations } from '../../../src/daemon/generations.ts';
import type { Bindings } from '../../../src/work/bindings.ts';
import type { Place } from '../../../src/work/place.ts';

const configOf = (url: string, threads = 2): Config =>
  ({ sources: {}, destinations: { default: { url } }, workers: { threads } }) as unknown as Config;

/** Generations whose places only tell that they were closed. */
function watched(config: Config) {
  const closed: string[] = [];
  let opened = 0;
  let bindings: Bindings | undefined;
  const generations = new Generations(config, ({ workers }, known) => {
    opened += 1;
    const name = `place ${opened} of ${workers.threads}`;
    bindings = known;
    return { close: async () => void closed.push(name) } as unknown as Place;
  });
  const destinations = (): string[] =>
    bindings!.generations.map((generation) => bindings!.of(generation).destinations['default']!.url);
  return { generations, closed, destinations };
}

/** Runs that end when the test says so. */
function runs(): { ended: Promise<void>; end: () => Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return {
    ended: promise,
    end: async () => {
      resolve(undefined);
      await turn();
    },
  };
}

describe('a reload', () => {
  test('keeps the threads, and both meanings of a name until the last run of the old one has ended', async () => {
    const { generations, closed, destinations } = watched(configOf('a'));
    const { place, number } = generations.current;
    const old = runs();
    generations.refuse(['a.yaml:1:1: unknown key']);
    assert.deepEqual(generations.refused?.problems, ['a.yaml:1:1: unknown key']);
    generations.advance(configOf('b'), old.ended);
    assert.equal(generations.refused, undefined);
    assert.equal(generations.current.place, place);
    assert.notEqual(generations.current.number, number);
    assert.equal(generations.current.config.destinations['default']!.url, 'b');
    assert.deepEqual(destinations(), ['a', 'b']);
    await old.end();
    assert.deepEqual(destinations(), ['b']);
    assert.deepEqual(closed, []);
  });

  test('with other threads ends the old ones once no run needs them, whatever generation it is of', async () => {
    const { generations, closed, destinations } = watched(configOf('a'));
    const [first, both] = [runs(), runs()];
    generations.advance(configOf('b'), first.ended);
    generations.advance(configOf('c', 4), both.ended);
    await first.end();
    assert.deepEqual(closed, [], 'a run of the second generation may still be there');
    assert.deepEqual(destinations(), ['b', 'c']);
    await both.end();
    assert.deepEqual(closed, ['place 1 of 2']);
    assert.deepEqual(destinations(), ['c']);
    await generations.close();
    assert.deepEqual(closed, ['place 1 of 2', 'place 2 of 4']);
  });

  test('that is followed by the end of the daemon closes all threads, each once', async () => {
    const { generations, closed } = watched(configOf('a'));
    const old = runs();
    generations.advance(configOf('a', 4), old.ended);
    await generations.close();
    await old.end();
    assert.deepEqual(closed, ['place 2 of 4', 'place 1 of 2']);
  });
});
