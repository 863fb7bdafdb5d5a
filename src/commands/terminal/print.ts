/** The one way to a person's terminal: without secrets, and with nothing in a line that a terminal would obey. */
import { scrub } from '../../base/secrets.ts';
import { visible, visibleJson } from '../../base/visible.ts';
import type { Invocation } from '../invocation.ts';

/**
 * One JSON document on stdout, without secrets: the messages of servers may echo what they were given. Characters that a
 * terminal would obey, or not show, are written as `\u…`, wherever it goes: the document is the same for who parses it.
 */
export function printJson(invocation: Invocation, value: unknown): void {
  invocation.stdout.write(`${cleanJson(value)}\n`);
}

/** A document with one more field, a list that may be long: its items come one after the other, and are not held. */
export interface WithList {
  document: object;
  field: string;
  items: AsyncIterable<unknown>;
}

/** As {@link printJson} prints the document with the list as its last field. */
export async function printJsonWithList({ stdout }: Pick<Invocation, 'stdout'>, whole: WithList): Promise<void> {
  await writeWithList(stdout, whole, '');
  stdout.write('\n');
}

/** A list as {@link printJson} prints it, from items that come one after the other and are not held. */
export class JsonList {
  readonly #stdout: Invocation['stdout'];
  #isEmpty = true;

  constructor({ stdout }: Pick<Invocation, 'stdout'>) {
    this.#stdout = stdout;
  }

  add(items: readonly unknown[]): void {
    for (const item of items) {
      this.#stdout.write(`${this.#isEmpty ? '[' : ','}\n  ${indented(item, '  ')}`);
      this.#isEmpty = false;
    }
  }

  async addWithList(item: WithList): Promise<void> {
    this.#stdout.write(`${this.#isEmpty ? '[' : ','}\n  `);
    this.#isEmpty = false;
    await writeWithList(this.#stdout, item, '  ');
  }

  end(): void {
    this.#stdout.write(this.#isEmpty ? '[]\n' : '\n]\n');
  }

  /** Where the work was broken off: what was printed is a document, and the exit code says that it is not all. */
  breakOff(): void {
    if (!this.#isEmpty) this.end();
  }
}

async function writeWithList(
  stdout: Invocation['stdout'],
  { document, field, items }: WithList,
  indent: string,
): Promise<void> {
  const empty = indented({ ...document, [field]: [] }, indent);
  const end = `]\n${indent}}`;
  stdout.write(empty.slice(0, -end.length));
  const inner = `${indent}    `;
  let isFirst = true;
  for await (const item of items) {
    stdout.write(`${isFirst ? '' : ','}\n${inner}${indented(item, inner)}`);
    isFirst = false;
  }
  stdout.write(isFirst ? end : `\n${indent}  ${end}`);
}

function indented(value: unknown, indent: string): string {
  return cleanJson(value).replaceAll('\n', `\n${indent}`);
}

function cleanJson(value: unknown): string {
  const clean = (_key: string, part: unknown): unknown => (typeof part === 'string' ? scrub(part) : part);
  return visibleJson(JSON.stringify(value, clean, 2));
}

/** Each text is one line on the stream, whatever is in it. */
export function printLines({ stdout }: Pick<Invocation, 'stdout'>, lines: readonly string[], stream = stdout): void {
  stream.write(lines.map((line) => `${visible(scrub(line))}\n`).join(''));
}
