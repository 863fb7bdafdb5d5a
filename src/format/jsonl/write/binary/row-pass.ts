/** Encodes all rows that are whole in the window in one call into WebAssembly; wasm/rows.ts is the other side. */
import { memoryOf, type EncodeBuffers, type EncodeMemory } from './encode-memory.ts';
import type { RowEncoder } from './row-encoder.ts';
import { buildProgram } from './row-program.ts';
import type { Encoder } from './encoder.ts';
import { OP_FLOAT4, OP_FLOAT8 } from './wasm/places.ts';

/** Five numbers lie at RESULT_AT. */
const STOP = 0;
const LENGTH = 1;
const ROWS = 2;
const FIRST = 3;
const LAST = 4;

export class RowPass {
  /** Places in the window: where the last pass stopped, and the first and the last row that it encoded. */
  stop = 0;
  first = 0;
  last = 0;
  /** Where its lines ended. */
  length = 0;
  readonly #memory: EncodeMemory;
  readonly #window: number;
  readonly #program: Uint8Array;
  readonly #message: number;

  private constructor(memory: EncodeMemory, window: Uint8Array, program: Uint8Array, message: number) {
    this.#memory = memory;
    this.#window = window.byteOffset;
    this.#program = program;
    this.#message = message;
  }

  /**
   * Of rows that come in messages of this type. Undefined where the buffers do not lie in the memory, or the columns' program has no
   * room in it: row-encoder.ts does it then.
   */
  static open(encoder: RowEncoder, buffers: EncodeBuffers, message: number): RowPass | undefined {
    const memory = memoryOf(buffers);
    if (memory === undefined) return undefined;
    const program = buildProgram(encoder, memory.programBytes);
    if (program === undefined) return undefined;
    if (encoder.columns.some(isFloat)) memory.prepareFloats();
    return new RowPass(memory, buffers.window, program, message);
  }

  /**
   * Encodes the rows in the window from `start` to `end`, as messages, to `lines` from `length` on, until that is at `full`;
   * returns how many there were. It stops before a message that is no whole row, and before a row that it leaves alone.
   */
  run(start: number, end: number, lines: Uint8Array, length: number, full: number): number {
    const memory = this.#memory;
    if (lines.buffer !== memory.buffer) return 0;
    const base = lines.byteOffset;
    const window = this.#window;
    memory.load(this.#program);
    memory.encodeRows(this.#message, window + start, window + end, base + length, base + full, base + lines.length);
    const { result } = memory;
    this.stop = result[STOP]! - window;
    this.length = result[LENGTH]! - base;
    this.first = result[FIRST]! - window;
    this.last = result[LAST]! - window;
    return result[ROWS]!;
  }
}

/** Or an array of them. */
function isFloat({ op, element }: Encoder): boolean {
  const scalar = element?.op ?? op;
  return scalar === OP_FLOAT4 || scalar === OP_FLOAT8;
}
