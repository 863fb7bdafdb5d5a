/** How an archive's rows are read. */
import type { ArchiveConfig } from './schema.ts';

/** `query` is what COPY cannot: a query with parameters, whose result comes in binary form as COPY's does. */
export type Reader = 'copy' | 'query' | 'cursor';

/** COPY and `query` are several times faster than a cursor, and take rows of any width. */
export function readerOf(archive: Pick<ArchiveConfig, 'read' | 'params'>): Reader {
  if (archive.read !== 'auto') return archive.read;
  return (archive.params ?? []).length === 0 ? 'copy' : 'query';
}
