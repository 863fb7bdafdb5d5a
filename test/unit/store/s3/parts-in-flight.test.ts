import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FEWEST_IN_FLIGHT, PartsInFlight } from '../../../../src/store/s3/parts-in-flight.ts';

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

describe('parts in flight', () => {
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
