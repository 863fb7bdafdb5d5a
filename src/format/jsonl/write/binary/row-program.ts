/** What wasm/rows.ts is told of the columns: for each, how its values are encoded, and the bytes in front of them in a line. */
import type { RowEncoder } from './row-encoder.ts';

const WORD_BYTES = 4;
/** Names are copied so many bytes at once. */
const STEP_BYTES = 16;

/** Number of columns, bytes of a line that are no values; then for each column its code, the size of its prefix, the prefix. */
export function buildProgram({ columns, prefixes, lineEnd }: RowEncoder, mostBytes: number): Uint8Array | undefined {
  if (columns.length === 0) return undefined;
  const steps = prefixes.map(({ length }) => Math.ceil(length / STEP_BYTES) * STEP_BYTES);
  const bytes = steps.reduce((sum, step) => sum + 2 * WORD_BYTES + step, 2 * WORD_BYTES);
  if (bytes > mostBytes) return undefined;
  const program = new Uint8Array(bytes);
  const view = new DataView(program.buffer);
  view.setUint32(0, columns.length, true);
  view.setUint32(
    WORD_BYTES,
    prefixes.reduce((sum, { length }) => sum + length, lineEnd.length),
    true,
  );
  let at = 2 * WORD_BYTES;
  for (const [index, { op }] of columns.entries()) {
    const prefix = prefixes[index]!;
    view.setUint32(at, op, true);
    view.setUint32(at + WORD_BYTES, prefix.length, true);
    program.set(prefix, at + 2 * WORD_BYTES);
    at += 2 * WORD_BYTES + steps[index]!;
  }
  return program;
}
