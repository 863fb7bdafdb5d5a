/** The memory that wasm/lines.ts works in, and its one function. A thread has one, as no scan outlives its call. */
import { BUDGET } from '../../../base/memory-budget.ts';
import { openModule } from '../wasm.ts';
import { WASM_MODULE } from './wasm-module.ts';
import { CONTENT_AT, PROGRAM_AT, RESULT_AT, STEP_BYTES } from './wasm/places.ts';

/** Lines that are scanned at once. */
export const CONTENT_BYTES = BUDGET.scan.contentBytes;

export interface ScanMemory {
  /** The whole of it. */
  words: Uint32Array;
  /** Where the lines are put. */
  content: Uint8Array;
  /** Puts the columns' program in its place, if it is not there. */
  load: (program: Uint8Array) => void;
  scanLines: (program: number, at: number, end: number, parts: number) => void;
  /** What the last call came to. */
  result: Uint32Array;
}

let memory: ScanMemory | undefined;
let isTried = false;

/** Undefined on machines where it cannot be: there check.ts scans all lines, and more slowly. */
export function scanMemory(): ScanMemory | undefined {
  if (!isTried) memory = open();
  isTried = true;
  return memory;
}

function open(): ScanMemory | undefined {
  try {
    const { buffer, exports } = openModule(WASM_MODULE, CONTENT_AT + CONTENT_BYTES + STEP_BYTES);
    const { scanLines } = exports as Pick<ScanMemory, 'scanLines'>;
    const bytes = new Uint8Array(buffer);
    let loaded: Uint8Array | undefined;
    return {
      words: new Uint32Array(buffer),
      content: bytes.subarray(CONTENT_AT, CONTENT_AT + CONTENT_BYTES),
      load: (program) => {
        if (program === loaded) return;
        bytes.set(program, PROGRAM_AT);
        loaded = program;
      },
      scanLines,
      result: new Uint32Array(buffer, RESULT_AT, 3),
    };
  } catch {
    return undefined;
  }
}
