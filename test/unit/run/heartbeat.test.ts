import assert from 'node:assert/strict';
import { afterEach, describe, mock, test } from 'node:test';
import { Heartbeat } from '../../../src/run/heartbeat.ts';
import { LIVENESS } from '../../../src/run/liveness.ts';

describe('a heartbeat', () => {
  afterEach(() => {
    mock.timers.reset();
  });

  test('asks from time to time until it is stopped, one question at a time', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    const answers: (() => void)[] = [];
    const ask = (): Promise<void> => new Promise((resolve) => answers.push(resolve));
    const heartbeat = new Heartbeat(ask, unheard);
    mock.timers.tick(2 * LIVENESS.heartbeatMs);
    assert.equal(answers.length, 1, 'a second question was asked before the first was answered');
    answers[0]!();
    await settled();
    mock.timers.tick(LIVENESS.heartbeatMs);
    assert.equal(answers.length, 2);
    answers[1]!();
    await settled();
    heartbeat.stop();
    mock.timers.tick(LIVENESS.heartbeatMs);
    assert.equal(answers.length, 2);
  });

  test('does not ask while a statement goes on, behind which the question would wait', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    let asked = 0;
    const heartbeat = new Heartbeat(async () => {
      asked += 1;
    }, unheard);
    const { promise, resolve } = Promise.withResolvers<string>();
    const doing = heartbeat.during(() => promise);
    mock.timers.tick(LIVENESS.heartbeatMs);
    assert.equal(asked, 0);
    resolve('done');
    assert.equal(await doing, 'done');
    mock.timers.tick(LIVENESS.heartbeatMs);
    assert.equal(asked, 1);
    heartbeat.stop();
  });

  test('says so when it is not answered', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    let silences = 0;
    const heartbeat = new Heartbeat(
      () => Promise.reject(new Error('the connection broke')),
      () => {
        silences += 1;
      },
    );
    mock.timers.tick(LIVENESS.heartbeatMs);
    await settled();
    assert.equal(silences, 1);
    heartbeat.stop();
  });
});

function unheard(): void {
  throw new Error('it was answered');
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}
