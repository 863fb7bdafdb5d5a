/** Asks a person on the terminal, on stderr, as stdout belongs to the data. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { visible } from '../../base/visible.ts';

export interface Questions {
  /** The answer without blanks around it; `byDefault` where nothing was typed. */
  ask: (question: string, byDefault?: string) => Promise<string>;
  /** What is typed is not shown. */
  askHidden: (question: string) => Promise<string>;
  /** Lines before a question. */
  show: (lines: readonly string[]) => void;
  close: () => void;
}

/** The terminal was closed, or Ctrl-C typed, in the place of an answer. */
export class NoAnswerError extends Error {}

export function openQuestions(stdin: NodeJS.ReadStream, stderr: NodeJS.WriteStream): Questions {
  let isHidden = false;
  const shown = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (!isHidden) stderr.write(chunk);
      done();
    },
  });
  const terminal = createInterface({ input: stdin, output: shown, terminal: true });
  let isAsking = false;
  // In its raw mode the terminal sends no signal: between two questions nobody else would hear of a Ctrl-C.
  terminal.on('SIGINT', () => {
    if (isAsking) terminal.close();
    else process.kill(process.pid, 'SIGINT');
  });
  const put = async (question: string): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const onClose = (): void => {
      reject(new NoAnswerError('no answer'));
    };
    terminal.once('close', onClose);
    isAsking = true;
    terminal.question(question, resolve);
    try {
      return await promise;
    } finally {
      isAsking = false;
      terminal.off('close', onClose);
    }
  };
  return {
    ask: async (question, byDefault) => {
      const more = byDefault === undefined ? '' : ` [${visible(byDefault)}]`;
      const answer = (await put(`${visible(question)}${more}: `)).trim();
      return answer === '' ? (byDefault ?? '') : answer;
    },
    askHidden: async (question) => {
      stderr.write(`${visible(question)}: `);
      isHidden = true;
      try {
        return await put('');
      } finally {
        isHidden = false;
        stderr.write('\n');
      }
    },
    show: (lines) => {
      stderr.write(lines.map((line) => `${visible(line)}\n`).join(''));
    },
    close: () => {
      terminal.close();
    },
  };
}

/** Whether the answer to a question with [y/N] or [Y/n] behind it is yes. */
export async function askYes(questions: Questions, question: string, byDefault: 'Y/n' | 'y/N'): Promise<boolean> {
  const answer = await questions.ask(`${question} [${byDefault}]`);
  return answer === '' ? byDefault === 'Y/n' : /^y(?:es)?$/i.test(answer);
}
