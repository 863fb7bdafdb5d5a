/** What the fields of our documents in the bucket are made of. Each text has a longest form, each list a greatest count. */
import * as z from 'zod';
import { MAX_PARTITION_COLUMNS } from '../config/schema.ts';

/** The most segments that a run may have. */
export const MAX_SEGMENTS = 400_000;
/** Of a document with as many segments as there may be: some 670 bytes for each of them. */
export const MOST_BYTES = 256 * 1024 ** 2;
/** What one SELECT of Postgres can give. */
export const MAX_COLUMNS = 1664;
const MAX_TEXT_CHARS = 1024 ** 2;
const MAX_NAME_CHARS = 1024;

/** Of schemas that many fields have: each is made once, as a start makes all of them. */
const TEXT = z.string().max(MAX_TEXT_CHARS);
const NAME = z.string().max(MAX_NAME_CHARS);
const COUNT = z.int().min(0);

/** A text of any content: a value of a key, the reason of a decision. */
export function text(maxChars = MAX_TEXT_CHARS): z.ZodString {
  return maxChars === MAX_TEXT_CHARS ? TEXT : z.string().max(maxChars);
}

/** A name or a type in the database, or the name of a machine. */
export function name(): z.ZodString {
  return NAME;
}

/** Rows, bytes, pages: a whole number that JavaScript holds exactly. */
export function count(): z.ZodInt {
  return COUNT;
}

export function hex(digits: number): z.ZodString {
  return z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
}

/** A point of a date, timestamp or timestamptz column, which is one of the calendar. */
export function point(): z.ZodString {
  return z
    .string()
    .regex(/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ?)?$/)
    .refine(isRealTime, NO_TIME);
}

const NO_TIME = { error: 'there is no such time' };

const TIME = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  .refine(isRealTime, NO_TIME);

/** ISO 8601, in UTC, to the millisecond. */
export function time(): z.ZodString {
  return TIME;
}

/** Whether the clock ever shows it: what has the form alone, such as the 99th of a month, is in no order with others. */
function isRealTime(text: string): boolean {
  const bare = text.replace(/Z$/, '');
  const date = new Date(bare.includes('T') ? `${bare}Z` : bare);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(bare);
}

const ITEMS = new WeakMap<z.core.$ZodType, z.ZodType>();

/** A list that is given up at its first bad item: zod's own gathers the problems of all items, and of those there may be millions. */
export function list<Item>(item: z.ZodType<Item>, maxItems: number): z.ZodType<Item[]> {
  const schema = z
    .array(z.unknown())
    .max(maxItems)
    .transform((values, context) => {
      const items: Item[] = [];
      for (const [index, value] of values.entries()) {
        const parsed = item.safeParse(value);
        if (!parsed.success) {
          const [first] = parsed.error.issues;
          context.addIssue({ code: 'custom', message: first?.message ?? '', path: [index, ...(first?.path ?? [])] });
          return z.NEVER;
        }
        items.push(parsed.data);
      }
      return items;
    });
  ITEMS.set(schema, item);
  return schema;
}

/** The items of a list, for the JSON Schema: the list tells nothing of them by itself. Undefined for what is no list. */
export function itemOf(schema: z.core.$ZodType): z.ZodType | undefined {
  // What gets a description is a copy of the list.
  const { parent } = schema._zod;
  return ITEMS.get(schema) ?? (parent === undefined ? undefined : itemOf(parent));
}

/** Values of a key's columns, as Postgres prints them. By hand, as a plan has two such lists for each of its segments. */
export function keyValues(): z.ZodType<string[]> {
  const schema = z.custom<string[]>(
    isKeyValues,
    `must be a list of at most ${MAX_COLUMNS} texts of at most ${MAX_TEXT_CHARS} characters`,
  );
  ITEMS.set(schema, text());
  return schema;
}

function isKeyValues(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > MAX_COLUMNS) return false;
  return value.every((item) => typeof item === 'string' && item.length <= MAX_TEXT_CHARS);
}

/** A value for each column of a layout by value; null is NULL. By hand, as a plan has one for each of its segments. */
export function partitionValues(): z.ZodType<(string | null)[]> {
  return z.custom<(string | null)[]>(
    isPartitionValues,
    `must be a list of 1 to ${MAX_PARTITION_COLUMNS} texts or nulls, texts of at most ${MAX_NAME_CHARS} characters`,
  );
}

function isPartitionValues(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_PARTITION_COLUMNS) return false;
  return value.every((item) => item === null || (typeof item === 'string' && item.length <= MAX_NAME_CHARS));
}

/** The program that wrote the document. */
export const TOOL_FIELDS = { name: name(), version: name() };

export const SNAPSHOT_FIELDS = {
  id: name().meta({ description: 'The id that SET TRANSACTION SNAPSHOT took.' }),
  lsn: name().nullable().meta({ description: 'Position in the write-ahead log, such as 0/1A2B3C.' }),
  takenAt: time(),
};

/** Names the state that an object had in the destination it was written to. */
export const ETAG_FIELD = name().exactOptional();

/** What is known of a finished object, but for its key. */
export const OBJECT_FIELDS = {
  rows: count(),
  jsonBytes: count(),
  bytes: count(),
  sha256: hex(64).meta({ description: 'Of the object as it is stored.' }),
  crc32: hex(8).meta({ description: 'Of the JSON Lines, before compression.' }),
  firstKey: keyValues().nullable().meta({
    description:
      "Values of the key's columns in the first row as Postgres prints them, NULL as an empty text; null without a key or without rows.",
  }),
  lastKey: keyValues().nullable().meta({ description: 'The same of the last row.' }),
  longestLine: count().exactOptional().meta({
    description:
      'Bytes of its longest line; there only above half a GB, from which on the text form of COPY, which has 1 GB with all escapes, may not take its row.',
  }),
};
