/** Which compressors the archives of a config get on this machine, and where that is not what was hoped for. */
import { toFailure } from '../base/errors.ts';
import type { Config } from '../config/schema.ts';
import { allEntries } from '../config/tables.ts';
import { chooseCompressor } from '../format/compress/codec.ts';

/** Archives that insist on an engine which is not there: lines of what is wrong and what to do. */
export function engineProblems(config: Config): string[] {
  return allEntries(config).flatMap((archive) => {
    try {
      chooseCompressor(archive.compression);
      return [];
    } catch (error) {
      const { message, hint } = toFailure(error, 'compress');
      return [`archives.${archive.name}: ${message}; ${hint}`];
    }
  });
}

/** Why archives that would take the faster engine do without; one line, or none. */
export function engineFallbacks(config: Config): string[] {
  const reasons = allEntries(config).flatMap((archive) => chooseCompressor(archive.compression).fallback ?? []);
  return [...new Set(reasons)].map(
    (reason) => `gzip is done by zlib, not by ISA-L, which is several times as fast: ${reason}`,
  );
}
