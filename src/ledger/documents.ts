/** Reads and writes our documents in the bucket: what does not have the form of its declaration is refused, whoever wrote it. */
import type * as z from 'zod';
import { fail, type FailureError, type Stage } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import { visible } from '../base/visible.ts';
import { WITHOUT_CODE } from '../base/without-code.ts';
import { describeExcess, measureJson } from './json-limits.ts';
import { cutAtList, ListCutter, listLines } from './long-list.ts';

/** A kind of document. */
export interface DocumentKind<T> {
  /** What a person calls it. */
  name:
    | 'manifest'
    | 'journal'
    | 'receipt'
    | 'purge record'
    | 'restore mark'
    | 'head'
    | 'proof'
    | 'task'
    | 'record of rehearsals';
  /** Its field `format`, such as `pgsluice/plan/1`. */
  format: string;
  schema: z.ZodType<T>;
  /** Earlier formats that are still read, as what they say in this one. */
  earlier?: readonly { format: string; schema: z.ZodType<T> }[];
  /** The field that holds a list of any length, which is empty as far as `schema` knows. */
  longList?: LongList<T>;
  maxBytes: number;
  /** Of a kind that is read by the thousand, and has fewer values than others may have; see json-limits.ts. */
  mostValues?: number;
  /** The failure of one that cannot be read. */
  code: 'bad-manifest' | 'bad-journal' | 'bad-purge-record' | 'bad-head' | 'bad-proof' | 'bad-rehearsals';
  stage: Stage;
}

/** A list that is read and written item by item; see long-list.ts. */
export interface LongList<T> {
  field: LongField;
  item: z.ZodType;
  mostItems: number;
  /** What is wrong with all items together, such as `[3]: it is not the next one`. */
  problem?(document: Listed<T>): string | undefined;
}

type LongField = 'objects' | 'segments';

/** A document whose long list need be no array. */
export type Listed<T> = { [Field in keyof T]: Field extends LongField ? Items<T[Field]> : T[Field] };
type Items<List> = List extends readonly (infer Item)[] ? ItemsOf<Item> : List;

/** Items that need not be held. */
export interface ItemsOf<Item> extends Iterable<Item> {
  readonly length: number;
}

/** Over all items of a long list: those of a manifest of 400,000 objects have 6,000,000, and 14,400,000 with a key of twelve columns. */
const MOST_VALUES = 16_000_000;
/** Of one item: two keys of a few texts of the greatest length that there is. */
const MOST_ITEM_BYTES = 32 * 1024 ** 2;
/** Of all but the long list. */
const MOST_REST_BYTES = 64 * 1024 ** 2;
/** Of what a document says no more than this is shown. */
const SHOWN_CHARS = 100;
/** Of a list, that are checked before code for them pays. */
const FEW_ITEMS = 50;

/** What a document says, which lies at `url`. Throws FailureError. */
export function readDocument<T>(kind: DocumentKind<T>, body: Buffer, url: string): T {
  const items: unknown[] = [];
  const reader = new DocumentReader(kind, url, (item) => items.push(item));
  reader.write(body);
  const document = { ...reader.end(), ...listOf(kind, items) };
  const problem = describeItems(kind, document as Listed<T>, items.length);
  if (problem !== undefined) throw badDocument(kind, url, problem);
  return document;
}

/** Reads a document as it comes, and holds no item of its long list. Each of its methods throws FailureError. */
export class DocumentReader<T> {
  readonly #kind: DocumentKind<T>;
  readonly #url: string;
  readonly #onItem: (item: unknown, bytes: Buffer, from: number) => void;
  readonly #cutter: ListCutter | undefined;
  readonly #rest: Buffer[] = [];
  #restBytes = 0;
  #items = 0;
  #values = 0;

  /** `onItem` gets each item, and its bytes, from where on they stand in the document; they are valid until it returns. */
  constructor(
    kind: DocumentKind<T>,
    url: string,
    onItem: (item: unknown, bytes: Buffer, from: number) => void = () => undefined,
  ) {
    this.#kind = kind;
    this.#url = url;
    this.#onItem = onItem;
    if (kind.longList === undefined) return;
    this.#cutter = new ListCutter(kind.longList.field, {
      rest: (bytes) => {
        this.#keep(bytes);
      },
      item: (bytes, from) => {
        this.#readItem(bytes, from);
      },
    });
  }

  /** The next bytes, which the reader may go on to hold. */
  write(piece: Buffer): void {
    if (this.#cutter === undefined) this.#keep(piece);
    else this.#cutter.write(piece);
    if ((this.#cutter?.heldBytes ?? 0) > MOST_ITEM_BYTES)
      throw this.#bad(`${this.#place}: it has more than ${MOST_ITEM_BYTES} bytes`);
  }

  /** What the document says, with an empty list in the place of the long one. */
  end(): T {
    const kind = this.#kind;
    const rest = this.#rest.length === 1 && this.#rest[0] !== undefined ? this.#rest[0] : Buffer.concat(this.#rest);
    const excess = describeExcess(rest, kind.mostValues);
    if (excess !== undefined) throw this.#bad(excess);
    const value = parseJson(rest);
    if (value === undefined) throw this.#bad('it is no JSON');
    const { format } = asRecord(value);
    const known = [kind, ...(kind.earlier ?? [])].find((one) => one.format === format);
    if (known === undefined && isOurs(format, kind)) throw newerDocument(kind, this.#url, value, format);
    const parsed = (known ?? kind).schema.safeParse(value, WITHOUT_CODE);
    if (!parsed.success) throw this.#bad(firstProblem(parsed.error));
    const { longList } = kind;
    if (longList !== undefined && (asRecord(parsed.data)[longList.field] as unknown[]).length > 0)
      throw this.#bad(`${longList.field}: it is there twice, or does not end`);
    return parsed.data;
  }

  get #place(): string {
    return `${this.#kind.longList?.field ?? ''}[${this.#items}]`;
  }

  #keep(bytes: Buffer): void {
    this.#restBytes += bytes.length;
    if (this.#cutter !== undefined && this.#restBytes > MOST_REST_BYTES)
      throw this.#bad(`it has more than ${MOST_REST_BYTES} bytes besides ${this.#kind.longList?.field ?? ''}`);
    this.#rest.push(bytes);
  }

  #readItem(bytes: Buffer, from: number): void {
    if (this.#items === this.#kind.longList?.mostItems) throw this.#bad(`${this.#place}: there are too many`);
    const { excess, values } = measureJson(bytes);
    this.#values += values;
    if (excess !== undefined) throw this.#bad(`${this.#place}: ${excess}`);
    if (this.#values > MOST_VALUES) throw this.#bad(`${this.#place}: it has more than ${MOST_VALUES} values`);
    const { value, problem } = parseItem(this.#kind, parseValue(bytes), this.#items);
    if (problem !== undefined) throw this.#bad(`${this.#place}${problem}`);
    this.#items += 1;
    this.#onItem(value, bytes, from);
  }

  #bad(why: string): FailureError {
    return badDocument(this.#kind, this.#url, why);
  }
}

/** Items of a part of a document that was read before as a whole: the bytes from the first one to the last one. */
export function readItems(kind: DocumentKind<unknown>, bytes: Buffer): unknown[] {
  const values = JSON.parse(`[${bytes.toString()}]`) as unknown[];
  return values.map((value, index) => {
    const { value: item, problem } = parseItem(kind, value, index);
    if (problem !== undefined) throw new Error(`an item that was read before is no item any more${problem}`);
    return item;
  });
}

/** A document that is to be written: what stands before and behind the items of its long list, and these. */
export interface LaidDocument {
  before: Buffer;
  /** Makes each of them anew, and looks whether it could be read again: else it throws FailureError. */
  items: () => Iterable<Buffer>;
  /** The same without a look: where they were made before. */
  itemsAgain: () => Iterable<Buffer>;
  after: Buffer;
}

/** Lays a document out that is to lie at `url`; no more of its long list is held than its owner does. Throws FailureError for one that could not be read again. */
export function layDocument<T>(kind: DocumentKind<T>, value: Listed<T>, url: string): LaidDocument {
  const { longList } = kind;
  const rest = longList === undefined ? value : { ...value, [longList.field]: [] };
  const parsed = kind.schema.safeParse(rest, WITHOUT_CODE);
  if (!parsed.success) throw unreadable(kind, url, firstProblem(parsed.error));
  const items = longList === undefined ? [] : asRecord(value)[longList.field];
  if (!isItems(items)) throw unreadable(kind, url, `${longList?.field ?? ''}: must be a list`);
  const whole = Buffer.from(`${JSON.stringify(rest, null, 2)}\n`);
  const excess = describeExcess(whole, kind.mostValues);
  if (excess !== undefined) throw unreadable(kind, url, excess);
  if (longList === undefined) return { before: Buffer.alloc(0), items: () => [], itemsAgain: () => [], after: whole };
  const [before, after] = cutAtList(rest, longList.field, items.length === 0);
  const document = { ...parsed.data, ...listOf(kind, items) } as Listed<T>;
  return {
    before,
    items: () => counted(kind, listLines(looked(kind, document, items, url)), url),
    itemsAgain: () => listLines(items),
    after,
  };
}

/** The bytes of a small document. Throws FailureError for one that could not be read again. */
export function writeDocument<T>(kind: DocumentKind<T>, value: Listed<T>, url: string): Buffer {
  const { before, items, after } = layDocument(kind, value, url);
  const body = Buffer.concat([before, ...items(), after]);
  requireShort(kind, body.length, url);
  return body;
}

/** Throws FailureError for a document that would be too long to be read again. */
export function requireShort(kind: DocumentKind<unknown>, bytes: number, url: string): void {
  if (bytes > kind.maxBytes) throw unreadable(kind, url, `it has more than ${kind.maxBytes} bytes`);
}

/** Each of the items, once it was looked at, and in the end all of them together. */
function* looked<T>(
  kind: DocumentKind<T>,
  document: Listed<T>,
  items: ItemsOf<unknown>,
  url: string,
): Generator<unknown, undefined> {
  let index = 0;
  for (const item of items) {
    const { problem } = parseItem(kind, item, index);
    if (problem !== undefined) throw unreadable(kind, url, `${kind.longList?.field ?? ''}[${index}]${problem}`);
    yield item;
    index += 1;
  }
  const wrong = describeItems(kind, document, items.length);
  if (wrong !== undefined) throw unreadable(kind, url, wrong);
  return undefined;
}

/** The pieces of a list, as long as it has no more values than are read again. */
function* counted(kind: DocumentKind<unknown>, pieces: Iterable<Buffer>, url: string): Generator<Buffer, undefined> {
  let values = 0;
  for (const piece of pieces) {
    values += measureJson(piece, Infinity).values;
    if (values > MOST_VALUES)
      throw unreadable(kind, url, `${kind.longList?.field ?? ''}: it has more than ${MOST_VALUES} values`);
    yield piece;
  }
  return undefined;
}

function isItems(value: unknown): value is ItemsOf<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'length' in value;
}

/** `problem` begins with the path within the item. */
function parseItem<T>(kind: DocumentKind<T>, item: unknown, index: number): { value?: unknown; problem?: string } {
  const parsed = kind.longList?.item.safeParse(item, index < FEW_ITEMS ? WITHOUT_CODE : undefined);
  if (parsed === undefined || parsed.success) return { value: parsed?.data };
  const problem = firstProblem(parsed.error);
  return { problem: parsed.error.issues[0]?.path.length === 0 ? `: ${problem}` : `.${problem}` };
}

/** What is wrong with the items of a document together; undefined when nothing is. */
function describeItems<T>({ longList }: DocumentKind<T>, document: Listed<T>, items: number): string | undefined {
  if (longList === undefined) return undefined;
  const { field, mostItems } = longList;
  if (items > mostItems) return `${field}[${mostItems}]: there are too many`;
  const problem = longList.problem?.(document);
  return problem === undefined ? undefined : `${field}${problem}`;
}

function listOf({ longList }: DocumentKind<unknown>, items: unknown): object {
  return longList === undefined ? {} : { [longList.field]: items };
}

/** The failure of a document that cannot be what it should be. */
export function badDocument(
  { name, format, code, stage }: DocumentKind<unknown>,
  url: string,
  why: string,
): FailureError {
  return fail(code, { stage, message: `${url} is no ${name} of the format ${format}: ${why}` });
}

/** A newer version may mean by its documents what this one does not know: nothing of them is believed, and none is removed. */
function newerDocument(
  { format, stage }: DocumentKind<unknown>,
  url: string,
  value: object,
  found: string,
): FailureError {
  const message = `${url} has the format ${found}${writerOf(value)}; this is ${TOOL.name} ${TOOL.version}, which knows ${format}`;
  return fail('newer-journal', { stage, message });
}

function unreadable({ code, stage, name }: DocumentKind<unknown>, url: string, why: string): FailureError {
  return fail(code, {
    stage,
    message: `${url} is not written, as it would be a ${name} that cannot be read again: ${why}`,
    hint: 'Values of the key, names and texts of the config have a greatest length: look which one is so long.',
  });
}

/** `objects[3].rows: Invalid input: …` */
function firstProblem({ issues: [first] }: z.core.$ZodError): string {
  const path = (first?.path ?? [])
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('');
  const where = path.replace(/^\./, '');
  return `${where === '' ? '' : `${where}: `}${visible(first?.message ?? '', SHOWN_CHARS)}`;
}

function isOurs(format: unknown, kind: DocumentKind<unknown>): format is string {
  if (typeof format !== 'string' || format.length > SHOWN_CHARS) return false;
  return (
    format.startsWith(kind.format.slice(0, kind.format.lastIndexOf('/') + 1)) && /^[a-z]+\/[a-z]+\/\d+$/.test(format)
  );
}

function writerOf(value: object): string {
  const { name, version } = asRecord(asRecord(value)['tool']);
  const isSaid = typeof name === 'string' && typeof version === 'string';
  return isSaid ? `, written by ${visible(`${name} ${version}`, SHOWN_CHARS)}` : '';
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function parseJson(body: Buffer): object | undefined {
  const value = parseValue(body);
  return typeof value === 'object' && value !== null ? value : undefined;
}

/** Undefined for what is no JSON. */
function parseValue(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
