/** Receipts: small objects of the journal, each of which says that one segment is done. */
import { z } from 'zod';
import type { DocumentKind } from './documents.ts';
import { count, ETAG_FIELD, hex, MAX_SEGMENTS, name, OBJECT_FIELDS, SNAPSHOT_FIELDS } from './fields.ts';

export const RECEIPT_FORMAT = 'pgsluice/receipt/1';

const receipt = z.strictObject({
  format: z.literal(RECEIPT_FORMAT),
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

export const RECEIPT: DocumentKind<Receipt> = {
  name: 'receipt',
  format: RECEIPT_FORMAT,
  schema: receipt,
  maxBytes: 1024 ** 2,
  code: 'bad-journal',
  stage: 'journal',
};
