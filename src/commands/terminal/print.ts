/** The one way to a person's terminal: without secrets, and with nothing in a line that a terminal would obey. */
import { scrub } from '../../base/secrets.ts';
import { visible, visibleJson } from '../../base/visible.ts';
import type { Invocation } from '../invocation.ts';

/**
 * One JSON document on stdout, without secrets: the messages of servers may echo what they were given. Characters that a
 * terminal would obey, or not show, are written as `\u…`, wherever it goes: the document is the same for who parses it.
 */
export function printJson(invocation: Invocation, value: unknown): void {
  const clean = (_key: string, part: unknown): unknown => (typeof part === 'string' ? scrub(part) : part);
  invocation.stdout.write(`${visibleJson(JSON.stringify(value, clean, 2))}\n`);
}

/** Each text is one line on the stream, whatever is in it. */
export function printLines({ stdout }: Pick<Invocation, 'stdout'>, lines: readonly string[], stream = stdout): void {
  stream.write(lines.map((line) => `${visible(scrub(line))}\n`).join(''));
}
