/** How large an object may become in a destination. */
import type { DestinationConfig } from './schema.ts';

/** S3 takes no more parts of one object, nor do the servers that are compatible with it. */
export const MOST_PARTS = 10_000;

/** As it is stored; a file may be as large as its file system takes. */
export function mostObjectBytes({ location, partBytes }: DestinationConfig): number {
  return location.kind === 's3' ? MOST_PARTS * partBytes : Infinity;
}
