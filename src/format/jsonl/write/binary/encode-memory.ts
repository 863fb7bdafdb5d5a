/**
 * Buffers that lie in a WebAssembly memory, and the functions of wasm/ that work in it: one for whole rows, two for text,
 * 16 bytes at a time, of rows that are left to the encoders here, and one that counts the lines behind them all.
 *
 * A thread has one such memory, lent to one segment at a time. Buffers that are not in it, and machines without SIMD, go
 * through the encoders here alone, which do the same.
 */
import { BUDGET } from '../../../../base/memory-budget.ts';
import type { LineEnds } from '../../../proof.ts';
import { openModule } from '../../wasm.ts';
import { fillApproximations, fillTables } from './wasm-tables.ts';
import { WASM_MODULE } from './wasm-module.ts';
import { RESULT_AT } from './wasm/places.ts';

/** What a segment is read into, and the buffers that its lines are written to in turn. */
export interface EncodeBuffers {
  window: Uint8Array;
  lines: readonly Uint8Array[];
}

const WINDOW_BYTES = BUDGET.read.windowBytes;
const LINES_BYTES = BUDGET.lines.bytes;
const LINE_BUFFERS = BUDGET.lines.buffers;
/** The functions read and write so much at once, also at the end of a value. */
export const SIMD_BYTES = 16;

const PROGRAM_AT = BUDGET.encode.tableBytes;
const WINDOW_AT = PROGRAM_AT + BUDGET.encode.programBytes;
const LINES_AT = WINDOW_AT + WINDOW_BYTES;
const MEMORY_BYTES = LINES_AT + LINE_BUFFERS * LINES_BYTES;

type OverMemory = (at: number, end: number, to: number) => number;

interface Exports {
  escape: OverMemory;
  blank: OverMemory;
  countLines: (at: number, end: number) => void;
  encodeRows: (
    program: number,
    message: number,
    at: number,
    end: number,
    to: number,
    full: number,
    limit: number,
  ) => void;
}

/** The memory as whole rows are encoded in it. */
export interface EncodeMemory {
  buffer: ArrayBuffer;
  programBytes: number;
  /** To be called before there is a float. */
  prepareFloats: () => void;
  /** Puts the columns' program in its place, if it is not there. */
  load: (program: Uint8Array) => void;
  encodeRows: (message: number, at: number, end: number, to: number, full: number, limit: number) => void;
  /** What the last call came to. */
  result: Uint32Array;
}

let simd: EncodeBuffers | undefined;
let encodeMemory: EncodeMemory | undefined;
let isLent = false;
let isTried = false;

// Apart, as the hot loops compare with them.
let simdWindow: Uint8Array | undefined;
let simdLines0: Uint8Array | undefined;
let simdLines1: Uint8Array | undefined;
let simdLines2: Uint8Array | undefined;
let escapeInMemory: OverMemory = () => 0;
let blankInMemory: OverMemory = () => 0;
let countInMemory: Exports['countLines'] = () => undefined;
let lastResult = new Uint32Array();

/** Buffers for one segment; to be given back when nobody looks at its lines any more. */
export function lendBuffers(): EncodeBuffers {
  if (!isTried) openMemory();
  if (simd === undefined || isLent) return plainBuffers();
  isLent = true;
  return simd;
}

export function giveBuffersBack(buffers: EncodeBuffers): void {
  if (buffers === simd) isLent = false;
}

/** Undefined for buffers that do not lie in it. */
export function memoryOf(buffers: EncodeBuffers): EncodeMemory | undefined {
  return buffers === simd ? encodeMemory : undefined;
}

/** Buffers outside of the memory. */
export function plainBuffers(): EncodeBuffers {
  return {
    window: new Uint8Array(WINDOW_BYTES),
    lines: Array.from({ length: LINE_BUFFERS }, () => new Uint8Array(LINES_BYTES)),
  };
}

/** Whether both buffers are in the memory, and `bytes` may be written to `out` from `to` on. */
export function isInMemory(source: Uint8Array, out: Uint8Array, to: number, bytes: number): boolean {
  const isOurs = source === simdWindow && (out === simdLines0 || out === simdLines1 || out === simdLines2);
  return isOurs && to + bytes + SIMD_BYTES <= LINES_BYTES;
}

/** `escapeText` in the memory. */
export function escapeBySimd(at: number, end: number, out: Uint8Array, to: number): number {
  const base = out.byteOffset;
  return escapeInMemory(WINDOW_AT + at, WINDOW_AT + end, base + to) - base;
}

/** `copyJson` in the memory. */
export function blankBySimd(at: number, end: number, out: Uint8Array, to: number): number {
  const base = out.byteOffset;
  return blankInMemory(WINDOW_AT + at, WINDOW_AT + end, base + to) - base;
}

/** Undefined for content that does not lie in the memory. */
export function lineEndsBySimd(content: Uint8Array): LineEnds | undefined {
  if (content.buffer !== simdWindow?.buffer) return undefined;
  const at = content.byteOffset;
  countInMemory(at, at + content.length);
  const [lines = 0, first = 0, behindLast = 0, longest = 0] = lastResult;
  return { lines, first: first - at, behindLast: behindLast - at, longest };
}

function openMemory(): void {
  isTried = true;
  try {
    const { buffer, exports: functions } = openModule(WASM_MODULE, MEMORY_BYTES);
    const exports = functions as Exports;
    fillTables(buffer);
    simdWindow = new Uint8Array(buffer, WINDOW_AT, WINDOW_BYTES);
    const lines = Array.from(
      { length: LINE_BUFFERS },
      (_, index) => new Uint8Array(buffer, LINES_AT + index * LINES_BYTES, LINES_BYTES),
    );
    [simdLines0, simdLines1, simdLines2] = lines;
    escapeInMemory = exports.escape;
    blankInMemory = exports.blank;
    countInMemory = exports.countLines;
    lastResult = new Uint32Array(buffer, RESULT_AT, 5);
    encodeMemory = encodeMemoryOf(buffer, lastResult, exports);
    simd = { window: simdWindow, lines };
  } catch {
    // A processor without SIMD, or a limit on virtual memory: text.ts does it as well, and more slowly.
  }
}

function encodeMemoryOf(buffer: ArrayBuffer, result: Uint32Array, { encodeRows }: Exports): EncodeMemory {
  const bytes = new Uint8Array(buffer);
  let loaded: Uint8Array | undefined;
  let isPrepared = false;
  return {
    buffer,
    programBytes: BUDGET.encode.programBytes,
    prepareFloats: () => {
      if (!isPrepared) fillApproximations(buffer);
      isPrepared = true;
    },
    load: (program) => {
      if (program === loaded) return;
      bytes.set(program, PROGRAM_AT);
      loaded = program;
    },
    encodeRows: (message, at, end, to, full, limit) => {
      encodeRows(PROGRAM_AT, message, at, end, to, full, limit);
    },
    result,
  };
}
