/** How an archive's rows are read, where the config leaves it open. */
import type { ArchiveConfig } from './schema.ts';

export type Reader = 'copy' | 'cursor';

/** COPY is several times faster and takes rows of any width; but it takes no parameters. */
export function readerOf(archive: Pick<ArchiveConfig, 'read' | 'params'>): Reader {
  if (archive.read !== 'auto') return archive.read;
  return (archive.params ?? []).length === 0 ? 'copy' : 'cursor';
}
