/** Fills the tables that wasm/ reads: in memory, as a module would carry more bytes than it takes to reckon them. */
import { ESCAPES, HEX } from './escapes.ts';
import {
  APPROXIMATIONS,
  APPROXIMATIONS_AT,
  ESCAPES_AT,
  HEX_AT,
  LOWEST_APPROXIMATION,
  PAIRS_AT,
  POWERS_AT,
} from './wasm/places.ts';

const POWERS = 20;
/** The logarithm of 10 to the base of 2, times 2^19. */
const LOG2_10 = 1_741_647;

export function fillTables(memory: ArrayBuffer): void {
  const bytes = new Uint8Array(memory);
  const view = new DataView(memory);
  bytes.set(ESCAPES, ESCAPES_AT);
  bytes.set(HEX, HEX_AT);
  for (let pair = 0; pair < 100; pair += 1) {
    bytes[PAIRS_AT + 2 * pair] = 0x30 + Math.floor(pair / 10);
    bytes[PAIRS_AT + 2 * pair + 1] = 0x30 + (pair % 10);
  }
  for (let power = 0; power < POWERS; power += 1) view.setBigUint64(POWERS_AT + 8 * power, 10n ** BigInt(power), true);
}

/** The first 128 bits of powers of ten; what is cut off is rounded up. Only floats take them, and it is a millisecond's work. */
export function fillApproximations(memory: ArrayBuffer): void {
  const view = new DataView(memory);
  let exact = 1n;
  for (let power = 0; power < LOWEST_APPROXIMATION + APPROXIMATIONS; power += 1) {
    const bits = ((power * LOG2_10) >> 19) + 1;
    write(view, power, bits <= 128 ? exact << BigInt(128 - bits) : (exact >> BigInt(bits - 128)) + 1n);
    if (power > 0 && -power >= LOWEST_APPROXIMATION) write(view, -power, (1n << BigInt(127 + bits)) / exact + 1n);
    exact *= 10n;
  }
}

function write(view: DataView, power: number, value: bigint): void {
  const at = APPROXIMATIONS_AT + 16 * (power - LOWEST_APPROXIMATION);
  view.setBigUint64(at, BigInt.asUintN(64, value), true);
  view.setBigUint64(at + 8, value >> 64n, true);
}
