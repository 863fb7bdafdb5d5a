/** Reads and writes our documents in the bucket: what does not have the form of its declaration is refused, whoever wrote it. */
import type { z } from 'zod';
import { fail, type FailureError, type Stage } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import { visible } from '../base/visible.ts';
import { describeExcess, measureJson } from './json-limits.ts';
import { cutList, fillList } from './long-list.ts';

/** A kind of document. */
export interface DocumentKind<T> {
  /** What a person calls it. */
  name: 'manifest' | 'journal' | 'receipt' | 'purge record';
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
  code: 'bad-manifest' | 'bad-journal' | 'bad-purge-record';
  stage: Stage;
}

/** A list that is read and written item by item; see long-list.ts. */
export interface LongList<T> {
  field: string;
  item: z.ZodType;
  mostItems: number;
  /** What is wrong with all items together, such as `[3]: it is not the next one`. */
  problem?(document: T): string | undefined;
}

/** Over all items of a long list: those of a manifest of 400,000 objects have 6,000,000, which take some 230 MB. */
const MOST_VALUES = 10_000_000;
/** Of what a document says no more than this is shown. */
const SHOWN_CHARS = 100;

/** What a document says, which lies at `url`. Throws FailureError. */
export function readDocument<T>(kind: DocumentKind<T>, body: Buffer, url: string): T {
  const items: unknown[] = [];
  let values = 0;
  const { longList } = kind;
  const rest = longList === undefined ? body : cutList(body, longList.field, (item) => items.push(readItem(item)));
  const excess = describeExcess(rest, kind.mostValues);
  if (excess !== undefined) throw badDocument(kind, url, excess);
  const value = parseJson(rest);
  if (value === undefined) throw badDocument(kind, url, 'it is no JSON');
  const { format } = asRecord(value);
  const known = [kind, ...(kind.earlier ?? [])].find((one) => one.format === format);
  if (known === undefined && isOurs(format, kind)) throw newerDocument(kind, url, value, format);
  const parsed = (known ?? kind).schema.safeParse(value);
  if (!parsed.success) throw badDocument(kind, url, firstProblem(parsed.error));
  const { document, problem } = withItems(kind, parsed.data, items);
  if (problem !== undefined) throw badDocument(kind, url, problem);
  return document;

  function readItem(item: Buffer): unknown {
    const where = `${longList?.field ?? ''}[${items.length}]`;
    if (items.length === longList?.mostItems) throw badDocument(kind, url, `${where}: there are too many`);
    const { excess: tooMuch, values: more } = measureJson(item);
    values += more;
    if (tooMuch !== undefined) throw badDocument(kind, url, `${where}: ${tooMuch}`);
    if (values > MOST_VALUES) throw badDocument(kind, url, `${where}: it has more than ${MOST_VALUES} values`);
    const { value: found, problem: wrong } = parseItem(kind, parseValue(item));
    if (wrong !== undefined) throw badDocument(kind, url, `${where}${wrong}`);
    return found;
  }
}

/** The bytes of a document that is to lie at `url`. Throws FailureError for one that could not be read again. */
export function writeDocument<T>(kind: DocumentKind<T>, value: T, url: string): Buffer {
  const { longList } = kind;
  const items = longList === undefined ? [] : (asRecord(value)[longList.field] as readonly unknown[]);
  const rest = longList === undefined ? value : { ...value, [longList.field]: [] };
  const parsed = kind.schema.safeParse(rest);
  if (!parsed.success) throw unreadable(kind, url, firstProblem(parsed.error));
  if (!Array.isArray(items)) throw unreadable(kind, url, `${longList?.field ?? ''}: must be a list`);
  for (const [index, item] of items.entries()) {
    const { problem: wrong } = parseItem(kind, item);
    if (wrong !== undefined) throw unreadable(kind, url, `${longList?.field ?? ''}[${index}]${wrong}`);
  }
  const { problem } = withItems(kind, parsed.data, items);
  if (problem !== undefined) throw unreadable(kind, url, problem);
  const body =
    longList === undefined
      ? Buffer.from(`${JSON.stringify(value, null, 2)}\n`)
      : fillList(rest as object, longList.field, items);
  const tooMuch =
    body.length > kind.maxBytes
      ? `it has more than ${kind.maxBytes} bytes`
      : describeExcess(longList === undefined ? body : Buffer.from(JSON.stringify(rest)), kind.mostValues);
  if (tooMuch !== undefined) throw unreadable(kind, url, tooMuch);
  return body;
}

/** `problem` begins with the path within the item. */
function parseItem(kind: DocumentKind<unknown>, item: unknown): { value?: unknown; problem?: string } {
  const parsed = kind.longList?.item.safeParse(item);
  if (parsed === undefined || parsed.success) return { value: parsed?.data };
  const problem = firstProblem(parsed.error);
  return { problem: parsed.error.issues[0]?.path.length === 0 ? `: ${problem}` : `.${problem}` };
}

/** The document with the items of its long list, which is empty until then. */
function withItems<T>(
  kind: DocumentKind<T>,
  document: T,
  items: readonly unknown[],
): { document: T; problem?: string } {
  const { longList } = kind;
  if (longList === undefined) return { document };
  if ((asRecord(document)[longList.field] as unknown[]).length > 0)
    return { document, problem: `${longList.field}: it is there twice, or does not end` };
  const whole = { ...document, [longList.field]: items };
  const problem = longList.problem?.(whole);
  return problem === undefined ? { document: whole } : { document: whole, problem: `${longList.field}${problem}` };
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
