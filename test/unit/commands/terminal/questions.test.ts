import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { NoAnswerError, openQuestions } from '../../../../src/commands/terminal/questions.ts';

const CTRL_C = '\x03';

function atTerminal() {
  const stdin = new PassThrough();
  const stderr = new PassThrough();
  const questions = openQuestions(stdin as unknown as NodeJS.ReadStream, stderr as unknown as NodeJS.WriteStream);
  return { stdin, questions };
}

test('Ctrl-C in the place of an answer is none; between two questions it is the signal that a terminal would send', async () => {
  const { stdin, questions } = atTerminal();
  const asked = questions.ask('Where to');
  stdin.write('there\r');
  assert.equal(await asked, 'there');
  // As the terminal stays in its raw mode.
  const signal = once(process, 'SIGINT');
  stdin.write(CTRL_C);
  await signal;
  const again = questions.ask('Where to');
  stdin.write(CTRL_C);
  await assert.rejects(again, NoAnswerError);
});
