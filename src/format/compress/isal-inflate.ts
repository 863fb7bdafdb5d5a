/** Inflates by ISA-L, several times as fast as zlib. Calls are short, and block the thread; all memory lies outside of the heap. */
import { BUDGET } from '../../base/memory-budget.ts';
import { openIsal, type Isal } from './isal.ts';

/** Offsets in `struct inflate_state` of igzip_lib.h, ABI 2, on 64-bit machines. */
const NEXT_OUT = 0;
const AVAIL_OUT = 8;
const NEXT_IN = 16;
const AVAIL_IN = 32;
/** Bits that were taken from the input ahead of time. */
const READ_IN_LENGTH = 36;
/** Behind two tables of 18,912 and 2,208 bytes. */
const BLOCK_STATE = 21_160;

/** Of the block state: the last block has ended, and all of it was given. */
const FINISHED = 5;

const { stateBytes: STATE_BYTES, inputBytes: INPUT_BYTES, outputBytes: OUTPUT_BYTES } = BUDGET.inflate;

/** Of those that nobody uses: to take new memory for each of many small objects would cost more than the work. */
const kept: IsalInflate[] = [];

/** One deflate stream at a time. */
export class IsalInflate {
  /** The most that `give` takes at once. */
  static readonly inputBytes = INPUT_BYTES;
  /** What `next` gives, unless there is no more to come. */
  static readonly outputBytes = OUTPUT_BYTES;
  readonly #isal: Isal;
  readonly #memory: { state: unknown; input: unknown; output: unknown };
  readonly #fields: DataView;
  readonly #input: Uint8Array;
  readonly #output: Buffer;

  /** For one stream; throws when ISA-L cannot be used. To be given back. */
  static take(): IsalInflate {
    const inflate = kept.pop() ?? new IsalInflate(openIsal());
    inflate.#begin();
    return inflate;
  }

  private constructor(isal: Isal) {
    const { koffi } = isal;
    this.#isal = isal;
    this.#memory = {
      state: koffi.alloc('uint8_t', STATE_BYTES),
      input: koffi.alloc('uint8_t', INPUT_BYTES),
      output: koffi.alloc('uint8_t', OUTPUT_BYTES),
    };
    this.#fields = new DataView(koffi.view(this.#memory.state, STATE_BYTES));
    this.#input = new Uint8Array(koffi.view(this.#memory.input, INPUT_BYTES));
    this.#output = Buffer.from(koffi.view(this.#memory.output, OUTPUT_BYTES));
  }

  /** Whether the stream has ended. */
  get isFinished(): boolean {
    return this.#fields.getUint32(BLOCK_STATE, true) === FINISHED;
  }

  /** Bytes that were given and not taken. Once the stream has ended, those behind it. */
  get leftBytes(): number {
    // Versions differ in whether they put back what they took ahead of time.
    return this.#fields.getUint32(AVAIL_IN, true) + (this.#fields.getInt32(READ_IN_LENGTH, true) >> 3);
  }

  /** The next bytes of the stream, of which it makes a copy; to be called when there is no more to come of those before. */
  give(bytes: Uint8Array): void {
    this.#input.set(bytes);
    this.#fields.setBigUint64(NEXT_IN, this.#isal.koffi.address(this.#memory.input), true);
    this.#fields.setUint32(AVAIL_IN, bytes.length, true);
  }

  /** The next content, valid until the next call; less than `outputBytes` when there is no more without more bytes. Throws where the stream is damaged. */
  next(): Buffer {
    this.#fields.setBigUint64(NEXT_OUT, this.#isal.koffi.address(this.#memory.output), true);
    this.#fields.setUint32(AVAIL_OUT, OUTPUT_BYTES, true);
    const code = this.#isal.inflate(this.#memory.state);
    if (code < 0) throw new Error(`isal_inflate says ${code}`);
    return this.#output.subarray(0, OUTPUT_BYTES - this.#fields.getUint32(AVAIL_OUT, true));
  }

  /** The CRC-32 of what came before and of the first `length` bytes of what `next` gave last. */
  checksum(before: number, length: number): number {
    return this.#isal.crc32(before, this.#memory.output, length);
  }

  giveBack(): void {
    if (kept.length < BUDGET.inflate.objects) kept.push(this);
    else for (const memory of Object.values(this.#memory)) this.#isal.koffi.free(memory);
  }

  #begin(): void {
    new Uint8Array(this.#fields.buffer).fill(0);
    this.#isal.inflateInit(this.#memory.state);
  }
}
