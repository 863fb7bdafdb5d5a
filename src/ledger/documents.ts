/** Reads and writes our documents in the bucket: what does not have the form of its declaration is refused, whoever wrote it. */
import type { z } from 'zod';
import { fail, type FailureError, type Stage } from '../base/errors.ts';
import { TOOL } from '../base/tool.ts';
import { visible } from '../base/visible.ts';
import { describeExcess } from './json-limits.ts';

/** A kind of document. */
export interface DocumentKind<T> {
  /** What a person calls it. */
  name: 'manifest' | 'journal' | 'receipt';
  /** Its field `format`, such as `pgsluice/plan/1`. */
  format: string;
  schema: z.ZodType<T>;
  /** Earlier formats that are still read, as what they say in this one. */
  earlier?: readonly { format: string; schema: z.ZodType<T> }[];
  maxBytes: number;
  /** The failure of one that cannot be read. */
  code: 'bad-manifest' | 'bad-journal';
  stage: Stage;
}

/** Of what a document says no more than this is shown. */
const SHOWN_CHARS = 100;

/** What a document says, which lies at `url`. Throws FailureError. */
export function readDocument<T>(kind: DocumentKind<T>, body: Buffer, url: string): T {
  const excess = describeExcess(body);
  if (excess !== undefined) throw badDocument(kind, url, excess);
  const value = parseJson(body);
  if (value === undefined) throw badDocument(kind, url, 'it is no JSON');
  const { format } = asRecord(value);
  const known = [kind, ...(kind.earlier ?? [])].find((one) => one.format === format);
  if (known === undefined && isOurs(format, kind)) throw newerDocument(kind, url, value, format);
  const parsed = (known ?? kind).schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badDocument(kind, url, firstProblem(parsed.error));
}

/** The bytes of a document that is to lie at `url`. Throws FailureError for one that could not be read again. */
export function writeDocument<T>(kind: DocumentKind<T>, value: T, url: string): Buffer {
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) throw unreadable(kind, url, firstProblem(parsed.error));
  const body = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  const problem = body.length > kind.maxBytes ? `it has more than ${kind.maxBytes} bytes` : describeExcess(body);
  if (problem !== undefined) throw unreadable(kind, url, problem);
  return body;
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
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
