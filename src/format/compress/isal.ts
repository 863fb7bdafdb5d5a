/** Gzip by ISA-L, the library of Ceph and Hadoop: several times as fast as zlib. Called through koffi, which is optional. */
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import { errorText } from '../../base/errors.ts';
import { Kept } from '../../base/kept.ts';
import { BUDGET } from '../../base/memory-budget.ts';

/** Where Debian, Ubuntu, Fedora and macOS have it; the number is the ABI that the offsets below belong to. */
const LIBRARIES = [
  'libisal.so.2',
  'libisal.2.dylib',
  '/opt/homebrew/lib/libisal.2.dylib',
  '/usr/local/lib/libisal.so.2',
];

/** Offsets in `struct isal_zstream` of igzip_lib.h, ABI 2, on 64-bit machines. */
const NEXT_IN = 0;
const AVAIL_IN = 8;
const NEXT_OUT = 16;
const AVAIL_OUT = 24;
const LEVEL = 40;
const LEVEL_BUF_SIZE = 44;
const LEVEL_BUF = 48;
const END_OF_STREAM = 56;
const GZIP_FLAG = 60;

const IGZIP_GZIP = 1;
const COMP_OK = 0;

const { streamBytes: STREAM_BYTES, levelBytes: LEVEL_BYTES, inputBytes: INPUT_BYTES } = BUDGET.isal;
const OUTPUT_BYTES = BUDGET.slice.bytes;

/** Levels of ISA-L; 0 is not worth its little time. */
export const ISAL_DEFAULT_LEVEL = 1;
export const ISAL_MAX_LEVEL = 3;

export interface Isal {
  init: (stream: unknown) => void;
  deflate: (stream: unknown) => number;
  inflateInit: (state: unknown) => void;
  inflate: (state: unknown) => number;
  crc32: (before: number, bytes: unknown, length: number) => number;
  koffi: typeof import('koffi');
}

let loaded: Isal | { missing: string } | undefined;

/** Why ISA-L cannot be used on this machine; undefined when it can. Loads it at the first call. */
export function isalProblem(): string | undefined {
  loaded ??= load();
  return 'missing' in loaded ? loaded.missing : undefined;
}

function load(): Isal | { missing: string } {
  if (!['x64', 'arm64'].includes(process.arch)) return { missing: `it is not used on ${process.arch}` };
  let koffi: typeof import('koffi');
  try {
    koffi = createRequire(import.meta.filename)('koffi') as typeof import('koffi');
  } catch (error) {
    return { missing: `the package koffi is missing: ${errorText(error).split('\n')[0] ?? ''}` };
  }
  for (const name of LIBRARIES) {
    try {
      const library = koffi.load(name);
      const init = library.func('void isal_deflate_init(void *stream)') as Isal['init'];
      const deflate = library.func('int isal_deflate(void *stream)') as Isal['deflate'];
      const inflateInit = library.func('void isal_inflate_init(void *state)') as Isal['inflateInit'];
      const inflate = library.func('int isal_inflate(void *state)') as Isal['inflate'];
      const crc32 = library.func('uint32_t crc32_gzip_refl(uint32_t, void *, uint64_t)') as Isal['crc32'];
      return { init, deflate, inflateInit, inflate, crc32, koffi };
    } catch {
      // The next name is tried; the last word is below.
    }
  }
  return { missing: 'libisal is not installed; on Debian and Ubuntu: apt install libisal2' };
}

/** Throws when ISA-L cannot be used; see isalProblem. */
export function openIsal(): Isal {
  const problem = isalProblem();
  if (loaded === undefined || 'missing' in loaded) throw new Error(`ISA-L cannot be used: ${problem ?? ''}`);
  return loaded;
}

/** The CRC-32 of `content` and what came before it: by ISA-L where it is installed, which takes a tenth of the time. */
export function crc32Of(content: Buffer, before: number): number {
  return isalProblem() === undefined ? openIsal().crc32(before, content, content.length) : crc32(content, before);
}

/** All that a member is made in. It lies outside of the heap, where nothing moves it. */
interface Memory {
  koffi: Isal['koffi'];
  stream: unknown;
  level: unknown;
  input: unknown;
  output: unknown;
  views: { stream: Uint8Array; input: Uint8Array; output: Buffer };
}

/**
 * V8 counts what it is shown of such memory, and collects the whole heap once that has grown by a few megabytes: made anew for
 * each of many small members, it took most of their time.
 */
const kept = new Kept<'memory', Memory>(freeMemory);

/** One gzip member, in memory that `close` keeps for the next one. */
export class IsalGzip {
  readonly #isal: Isal;
  readonly #memory: Memory;
  readonly #fields: DataView;
  readonly #outputAddress: bigint;
  readonly #inputAddress: bigint;

  /** Throws when ISA-L cannot be used; see isalProblem. */
  constructor(level: number) {
    this.#isal = openIsal();
    const { koffi } = this.#isal;
    this.#memory = kept.take('memory') ?? allocateMemory(koffi);
    const { stream } = this.#memory.views;
    this.#fields = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
    this.#inputAddress = koffi.address(this.#memory.input);
    this.#outputAddress = koffi.address(this.#memory.output);
    stream.fill(0);
    this.#isal.init(this.#memory.stream);
    this.#fields.setUint32(LEVEL, level, true);
    this.#fields.setUint32(LEVEL_BUF_SIZE, LEVEL_BYTES, true);
    this.#fields.setBigUint64(LEVEL_BUF, koffi.address(this.#memory.level), true);
    this.#fields.setUint16(GZIP_FLAG, IGZIP_GZIP, true);
  }

  /** Compresses `content`; yields what comes out, each slice valid until the next one is asked for. */
  *write(content: Uint8Array): Generator<Buffer, void, undefined> {
    for (let at = 0; at < content.length; at += INPUT_BYTES) {
      const piece = content.subarray(at, at + INPUT_BYTES);
      this.#memory.views.input.set(piece);
      this.#fields.setBigUint64(NEXT_IN, this.#inputAddress, true);
      this.#fields.setUint32(AVAIL_IN, piece.length, true);
      yield* this.#deflate();
    }
  }

  /** Ends the member. */
  *end(): Generator<Buffer, void, undefined> {
    this.#fields.setUint32(AVAIL_IN, 0, true);
    this.#fields.setUint16(END_OF_STREAM, 1, true);
    yield* this.#deflate();
  }

  close(): void {
    void kept.keep('memory', this.#memory);
  }

  /** Runs until all input is taken and the output has room left, which says that there is no more to come. */
  *#deflate(): Generator<Buffer, void, undefined> {
    let isOutputFull = true;
    while (isOutputFull) {
      this.#fields.setBigUint64(NEXT_OUT, this.#outputAddress, true);
      this.#fields.setUint32(AVAIL_OUT, OUTPUT_BYTES, true);
      const code = this.#isal.deflate(this.#memory.stream);
      if (code !== COMP_OK) throw new Error(`isal_deflate failed with ${code}`);
      const left = this.#fields.getUint32(AVAIL_OUT, true);
      isOutputFull = left === 0;
      if (left < OUTPUT_BYTES) yield this.#memory.views.output.subarray(0, OUTPUT_BYTES - left);
    }
  }
}

function allocateMemory(koffi: Isal['koffi']): Memory {
  const stream: unknown = koffi.alloc('uint8_t', STREAM_BYTES);
  const input: unknown = koffi.alloc('uint8_t', INPUT_BYTES);
  const output: unknown = koffi.alloc('uint8_t', OUTPUT_BYTES);
  const views = {
    stream: new Uint8Array(koffi.view(stream, STREAM_BYTES)),
    input: new Uint8Array(koffi.view(input, INPUT_BYTES)),
    output: Buffer.from(koffi.view(output, OUTPUT_BYTES)),
  };
  return { koffi, stream, level: koffi.alloc('uint8_t', LEVEL_BYTES), input, output, views };
}

function freeMemory({ koffi, stream, level, input, output }: Memory): void {
  for (const memory of [stream, level, input, output]) koffi.free(memory);
}
