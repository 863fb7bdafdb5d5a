import assert from 'node:assert/strict';
import { beforeEach, describe, test, type TestContext } from 'node:test';
import {
  FEWEST_IN_FLIGHT,
  FIRST_IN_FLIGHT,
  PartsInFlight,
  PATIENCE_MS,
} from '../../../../src/store/s3/parts-in-flight.ts';

const MOST = 6;

/** Sends parts whenever there is room, on a link where each takes `timeOf` those that are on their way. */
async function send(inFlight: PartsInFlight, parts: number, timeOf: (onTheWay: number) => number): Promise<number> {
  let onTheWay = 0;
  let most = 0;
  let taken = 0;
  const take = async (): Promise<void> => {
    await inFlight.take();
    taken += 1;
    onTheWay += 1;
    most = Math.max(most, onTheWay);
    if (taken < parts) await take();
  };
  const taking = take();
  while (taken < parts) {
    // All that can be taken now is.
    await new Promise(setImmediate);
    inFlight.answered(timeOf(onTheWay));
    onTheWay -= 1;
  }
  await taking;
  return most;
}

describe('parts in flight', { timeout: 10_000 }, () => {
  test('follow the latency of a server that is far away, and are remembered', async () => {
    const learned = { window: FEWEST_IN_FLIGHT };
    const inFlight = new PartsInFlight(MOST, learned);
    inFlight.measured(200);
    assert.equal(await send(inFlight, 30, () => 220), MOST);
    assert.equal(learned.window, MOST);
  });

  test('stay few on a narrow link, where more of them only take longer', async () => {
    const inFlight = new PartsInFlight(MOST, { window: FEWEST_IN_FLIGHT });
    inFlight.measured(200);
    assert.equal(await send(inFlight, 30, (onTheWay) => onTheWay * 5000), FEWEST_IN_FLIGHT);
  });

  test('become fewer where the way has become narrow', async () => {
    const learned = { window: MOST };
    const inFlight = new PartsInFlight(MOST, learned);
    inFlight.measured(20);
    await send(inFlight, 30, (onTheWay) => onTheWay * 5000);
    assert.equal(learned.window, FEWEST_IN_FLIGHT);
  });

  test('are not judged by the last ones of an upload, behind which none waits', () => {
    const learned = { window: MOST };
    const inFlight = new PartsInFlight(MOST, learned);
    inFlight.measured(200);
    inFlight.answered(5000);
    assert.equal(learned.window, MOST);
  });

  describe('to a server nearby', () => {
    let learned: { window: number };
    let now: number;
    let inFlight: PartsInFlight;

    beforeEach((t) => {
      (t as TestContext).mock.timers.enable({ apis: ['setTimeout'] });
      learned = { window: FIRST_IN_FLIGHT };
      now = 0;
      inFlight = new PartsInFlight(MOST, learned, () => now);
      inFlight.measured(1);
    });

    /** Another part wants to go, and the server answers the one before it after so long. */
    async function answerAfter(t: TestContext, ms: number): Promise<void> {
      const taking = inFlight.take();
      await passed(t, ms);
      inFlight.answered(100);
      await taking;
    }

    async function passed(t: TestContext, ms: number): Promise<void> {
      now += ms;
      t.mock.timers.tick(ms);
      await new Promise(setImmediate);
    }

    test('there is one alone, as long as the next hardly waits for it', async (t) => {
      await inFlight.take();
      for (let part = 0; part < 10; part += 1) await answerAfter(t, PATIENCE_MS / 10 - 1);
      assert.equal(learned.window, FIRST_IN_FLIGHT);
    });

    test('there are more once an answer takes too long, which are then remembered', async (t) => {
      await inFlight.take();
      const second = inFlight.take();
      await passed(t, PATIENCE_MS);
      await second;
      assert.equal(learned.window, FEWEST_IN_FLIGHT);
      inFlight.answered(200);
      assert.equal(learned.window, FEWEST_IN_FLIGHT);
    });

    test('there are more once all waits together take too long', async (t) => {
      await inFlight.take();
      for (let part = 0; part < 4; part += 1) await answerAfter(t, PATIENCE_MS / 4 - 1);
      assert.equal(learned.window, FIRST_IN_FLIGHT);
      await answerAfter(t, 4);
      assert.equal(learned.window, FEWEST_IN_FLIGHT);
    });
  });

  test('are what the config says, whatever is measured', async () => {
    const inFlight = new PartsInFlight(3);
    inFlight.measured(200);
    assert.equal(await send(inFlight, 30, () => 200), 3);
  });

  test('keep nobody waiting once the upload has failed', async () => {
    const inFlight = new PartsInFlight(1);
    await inFlight.take();
    const waiting = inFlight.take();
    inFlight.open();
    await waiting;
    await inFlight.take();
  });
});
