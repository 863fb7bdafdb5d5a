/** The codecs and their engines: what compresses the JSON Lines, and what the object is called and said to be. */
import { fail, type FailureError } from '../../base/errors.ts';
import { ZSTD_DEFAULT_LEVEL } from '../../base/zstd-levels.ts';
import { ISAL_DEFAULT_LEVEL, ISAL_MAX_LEVEL, isalProblem } from './isal.ts';

export type Codec = 'gzip' | 'zstd' | 'none';

/** What the config asks for. */
export interface CompressionOptions {
  codec: Codec;
  engine: 'auto' | 'zlib' | 'isal';
  level?: number | undefined;
}

/** What is done: an engine, its level, and in `fallback` why it is not the faster one. */
export interface CompressorChoice {
  engine: 'isal' | 'zlib' | 'zstd' | 'none';
  level: number;
  fallback?: string;
}

const ZLIB_DEFAULT_LEVEL = 6;

/** File name ending and media type of a codec's objects. */
export const CODEC_FILES: Record<Codec, { extension: string; contentType: string }> = {
  gzip: { extension: 'jsonl.gz', contentType: 'application/gzip' },
  zstd: { extension: 'jsonl.zst', contentType: 'application/zstd' },
  none: { extension: 'jsonl', contentType: 'application/x-ndjson' },
};

/** Our codecs, the longest ending first: each ending begins with that of plain JSON Lines. */
const BY_ENDING = (Object.keys(CODEC_FILES) as Codec[]).sort(
  (a, b) => CODEC_FILES[b].extension.length - CODEC_FILES[a].extension.length,
);

/** The codec of an object by its key: what is stored tells, as the archive's config may have changed since. */
export function codecOf(key: string): Codec | undefined {
  return BY_ENDING.find((codec) => key.endsWith(`.${CODEC_FILES[codec].extension}`));
}

/** Chooses the engine on this machine. Throws FailureError when the config insists on one that is not there. */
export function chooseCompressor({ codec, engine, level }: CompressionOptions): CompressorChoice {
  if (codec === 'none') return { engine: 'none', level: 0 };
  if (codec === 'zstd') return { engine: 'zstd', level: level ?? ZSTD_DEFAULT_LEVEL };
  const zlib = { engine: 'zlib', level: level ?? ZLIB_DEFAULT_LEVEL } as const;
  if (engine === 'zlib' || (engine === 'auto' && (level ?? 0) > ISAL_MAX_LEVEL)) return zlib;
  const problem = isalProblem();
  if (problem === undefined) return { engine: 'isal', level: level ?? ISAL_DEFAULT_LEVEL };
  if (engine === 'isal') throw isalMissing(problem);
  return { ...zlib, fallback: problem };
}

/** `gzip by isal, level 1`. */
export function describeCompressor(codec: Codec, choice: CompressorChoice): string {
  return codec === 'none' ? 'not compressed' : `${codec} by ${choice.engine}, level ${choice.level}`;
}

function isalMissing(problem: string): FailureError {
  return fail('engine-missing', {
    stage: 'compress',
    message: `compression.engine is isal, but ${problem}`,
  });
}
