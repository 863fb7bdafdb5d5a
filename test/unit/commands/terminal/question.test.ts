import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { NEVER } from '../../../../src/base/signals.ts';
import { askYesOrNo } from '../../../../src/commands/terminal/question.ts';

/** Asks at a terminal where these keys are pressed. */
async function ask(keys: string, { signal = NEVER, isEnded = false } = {}) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  let interrupts = 0;
  const asking = askYesOrNo('Really?', signal, { input, output, interrupt: () => (interrupts += 1) });
  input.write(keys);
  if (isEnded) input.end();
  return { answer: await asking, interrupts, written: String(output.read() ?? '') };
}

test('only y and yes are yes', async () => {
  for (const keys of ['y\n', 'YES\n', ' y \n']) assert.equal((await ask(keys)).answer, true, keys);
  for (const keys of ['\n', 'n\n', 'yy\n', 'yes please\n']) assert.equal((await ask(keys)).answer, false, keys);
  assert.match((await ask('y\n')).written, /Really\? \[y\/N\] /);
});

test('Ctrl-C is no, and interrupts as it does elsewhere', async () => {
  const { answer, interrupts } = await ask('y\u0003');
  assert.deepEqual([answer, interrupts], [false, 1]);
});

test('Ctrl-D, a signal that aborts and the end of the input are no', async () => {
  assert.equal((await ask('\u0004')).answer, false);
  assert.equal((await ask('y', { signal: AbortSignal.abort() })).answer, false);
  assert.equal((await ask('y', { isEnded: true })).answer, false);
});
