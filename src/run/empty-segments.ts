/**
 * Empty segments: what becomes of keys that an earlier plan of the run named and this one does not. Nobody may remove them,
 * as a free key is open to late requests of the try that is dead; so each holds no rows, and the manifest names it.
 */
import { createHash } from 'node:crypto';
import { fail } from '../base/errors.ts';
import { codecOf, CODEC_FILES, type Codec, type CompressorChoice } from '../format/compress/codec.ts';
import { compress } from '../format/compress/compress.ts';
import { keysEverNamed } from '../ledger/journal.ts';
import { segmentOfDataKey } from '../ledger/names.ts';
import type { Receipt } from '../ledger/receipts.ts';
import type { Attempt } from './attempt.ts';
import type { Run } from './run.ts';
import { dataKeyIn } from './segment-task.ts';
import { drawToken, lookAgain, replacing } from './upload-condition.ts';

/** Objects that are written at once. */
const WRITTEN_AT_ONCE = 8;

const ENGINES: Record<Codec, CompressorChoice> = {
  gzip: { engine: 'zlib', level: 6 },
  zstd: { engine: 'zstd', level: 3 },
  none: { engine: 'none', level: 0 },
};

/** Keys of the run's data objects that its plan does not name: of former plans, and of those that lie there without one. */
export function formerKeys(run: Run, { journal, listed, plan }: Attempt): string[] {
  const { archive, id } = run;
  const isOwn = (key: string): boolean => {
    const segment = plan.segments.at(segmentOfDataKey(archive.name, id, key) ?? plan.segments.length);
    return segment !== undefined && dataKeyIn(run, segment) === key;
  };
  const former = new Set<string>();
  const look = (key: string): void => {
    if (run.folder.isDataKey(key) && codecOf(key) !== undefined && !isOwn(key)) former.add(key);
  };
  for (const key of keysEverNamed(journal)) look(key);
  for (const key of listed.keys()) look(key);
  return [...former].sort();
}

/** Writes those that have no receipt yet. Throws FailureError. */
export async function writeEmptySegments(run: Run, attempt: Attempt): Promise<void> {
  const open = formerKeys(run, attempt).filter((key) => !attempt.empties.has(key));
  const waiting = open.values();
  const write = async (): Promise<void> => {
    for (const key of waiting) {
      run.signal.throwIfAborted();
      const receipt = await writeOne(run, attempt, key);
      await run.folder.recordEmpty(receipt);
      attempt.empties.set(key, receipt);
    }
  };
  await Promise.all(Array.from({ length: Math.min(WRITTEN_AT_ONCE, open.length) }, write));
}

async function writeOne(run: Run, attempt: Attempt, key: string): Promise<Receipt> {
  const codec = codecOf(key) ?? 'none';
  const { attempts } = run.archive.retry;
  for (let number = 1; number <= Math.max(2, attempts); number += 1) {
    const there = number === 1 ? attempt.listed.get(key) : await lookAgain(run, attempt, key);
    const replaces = replacing(there);
    const body = await emptyObject(codec);
    const result = await run.folder.store.put(key, body, {
      contentType: CODEC_FILES[codec].contentType,
      ...(replaces === undefined ? {} : { replaces }),
      isHeld: true,
    });
    if (result.outcome === 'written') return describe(run, attempt, key, body, result.etag);
  }
  throw fail(
    { code: 'object-changed', transient: true },
    {
      stage: 'upload',
      message: `${run.folder.store.url}${key} is written by somebody else again and again`,
    },
  );
}

function describe(run: Run, { journal, session, done }: Attempt, key: string, body: Buffer, etag: string): Receipt {
  const { archive, id } = run;
  return {
    fingerprint: journal.fingerprint,
    segment: segmentOfDataKey(archive.name, id, key) ?? 0,
    key,
    rows: 0,
    jsonBytes: 0,
    bytes: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
    crc32: '00000000',
    firstKey: null,
    lastKey: null,
    etag,
    // It has no rows, so that it was read under whatever snapshot the others were.
    snapshot: firstOf(done.values())?.snapshot ?? session.snapshot,
  };
}

function firstOf<T>(items: Iterable<T>): T | undefined {
  const [first] = items;
  return first;
}

async function emptyObject(codec: Codec): Promise<Buffer> {
  const slices: Buffer[] = [];
  const nothing = { bytes: 0, checksum: 0 };
  for await (const slice of compress(noLines(), ENGINES[codec], nothing, drawToken())) slices.push(Buffer.from(slice));
  return Buffer.concat(slices);
}

async function* noLines(): AsyncGenerator<Buffer, void, undefined> {
  // There are none.
}
