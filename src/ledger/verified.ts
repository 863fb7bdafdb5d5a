/** The proof of a run, in its folder: when all its objects were read again and found to be what the manifest says, and by whom. */
import * as z from 'zod';
import type { DocumentKind } from './documents.ts';
import { count, hex, name, time, TOOL_FIELDS } from './fields.ts';

export const VERIFIED_FORMAT = 'pgsluice/verified/1';

const verifiedSchema = z.strictObject({
  format: z.literal(VERIFIED_FORMAT),
  archive: name().min(1),
  run: name().min(1),
  /** When the proof was done. */
  at: time(),
  /** Of the manifest that the objects were held against. */
  sha256: hex(64),
  objects: count(),
  rows: count(),
  bytes: count(),
  host: name(),
  tool: z.strictObject(TOOL_FIELDS),
});
export type Verified = z.infer<typeof verifiedSchema>;

export const VERIFIED: DocumentKind<Verified> = {
  name: 'proof',
  format: VERIFIED_FORMAT,
  schema: verifiedSchema,
  maxBytes: 64 * 1024,
  code: 'bad-proof',
  stage: 'verify',
};
