/** The mark that a restore into the archive's own table leaves in the run's folder: its rows are wanted, and are not purged again. */
import * as z from 'zod';
import type { DocumentKind } from './documents.ts';
import { name, time, TOOL_FIELDS } from './fields.ts';

export const RESTORED_FORMAT = 'pgsluice/restored/1';

const restoredSchema = z.strictObject({
  format: z.literal(RESTORED_FORMAT),
  archive: name().min(1),
  run: name().min(1),
  /** No two restores have the same. */
  id: name().min(1),
  at: time(),
  /** The table that it went into, and its database. */
  into: name(),
  database: name(),
  host: name(),
  tool: z.strictObject(TOOL_FIELDS),
});
export type RestoredMark = z.infer<typeof restoredSchema>;

export const RESTORED: DocumentKind<RestoredMark> = {
  name: 'restore mark',
  format: RESTORED_FORMAT,
  schema: restoredSchema,
  maxBytes: 64 * 1024,
  code: 'bad-purge-record',
  stage: 'purge',
};
