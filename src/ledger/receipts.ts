/** Receipts: each says that one segment is done. A small document of the journal holds one or several of them. */
import * as z from 'zod';
import type { DocumentKind } from './documents.ts';
import { count, ETAG_FIELD, hex, list, MAX_SEGMENTS, name, OBJECT_FIELDS, SNAPSHOT_FIELDS } from './fields.ts';

export const RECEIPTS_FORMAT = 'pgsluice/receipt/2';
const FIRST_FORMAT = 'pgsluice/receipt/1';

/** Far more than are ever written at once. */
const MOST_TOGETHER = 1000;
/** Some twenty for each, and the values of its keys, of which as many as there may be fill the bytes sooner. */
const MOST_VALUES = 500_000;

const receipt = z.strictObject({
  /** That of the plan. */
  fingerprint: hex(64),
  /** The number in its name; an empty segment may have that of a segment of the plan. */
  segment: count().max(MAX_SEGMENTS - 1),
  /** Relative to the destination's prefix. */
  key: name(),
  ...OBJECT_FIELDS,
  /** Absent in the first ones: then the object is read again before it is believed. */
  etag: ETAG_FIELD,
  /** See format/digest.ts; there only when it was asked for. */
  lineDigest: z
    .string()
    .regex(/^\d{1,20}$/)
    .exactOptional(),
  /** The snapshot that it was read under. */
  snapshot: z.strictObject(SNAPSHOT_FIELDS),
});

/** Says that one segment is done. */
export type Receipt = z.infer<typeof receipt>;

const receipts = z.strictObject({
  format: z.literal(RECEIPTS_FORMAT),
  /** Of segments that were done at about the same time, in their order. */
  receipts: list(receipt, MOST_TOGETHER),
});
type Receipts = z.infer<typeof receipts>;

const firstReceipt = z
  .strictObject({ format: z.literal(FIRST_FORMAT), ...receipt.shape })
  .transform(({ format: _format, ...one }): Receipts => ({ format: RECEIPTS_FORMAT, receipts: [one] }));

export const RECEIPTS: DocumentKind<Receipts> = {
  name: 'receipt',
  format: RECEIPTS_FORMAT,
  schema: receipts,
  earlier: [{ format: FIRST_FORMAT, schema: firstReceipt }],
  maxBytes: 4 * 1024 ** 2,
  mostValues: MOST_VALUES,
  code: 'bad-journal',
  stage: 'journal',
};
