/** Goes into each thread of pgsluice, see program.ts: one stage loses a row, once in each thread. PGSLUICE_TEST_LOSES says which. */
import { LineBuffer } from '../../src/format/jsonl/line-buffer.ts';
import { RowPass } from '../../src/format/jsonl/write/binary/row-pass.ts';
import { TextEncoder } from '../../src/format/jsonl/write/text-encoder.ts';

/** Where a row may get lost. */
export type Loss = 'copy-encoder' | 'text-encoder' | 'lines';

const LINE_FEED = 0x0a;
let isLost = false;

/** The one time that it happens, in a row that has others around it. */
function isNow(rows: number): boolean {
  if (isLost || rows < 10) return false;
  isLost = true;
  return true;
}

const faults: Record<Loss, () => void> = {
  'copy-encoder': () => {
    const { run } = RowPass.prototype;
    RowPass.prototype.run = function (start, end, lines, length, fullBytes) {
      const rows = run.call(this, start, end, lines, length, fullBytes);
      // It says that they were encoded, and the first of them has no line.
      if (isNow(rows)) {
        const next = lines.indexOf(LINE_FEED, length) + 1;
        lines.copyWithin(length, next, this.length);
        this.length -= next - length;
      }
      return rows;
    };
  },
  'text-encoder': () => {
    const { encode } = TextEncoder.prototype;
    TextEncoder.prototype.encode = function (rows) {
      const all = [...rows];
      return encode.call(this, isNow(all.length) ? all.slice(1) : all);
    };
  },
  // Between the encoder, whichever it is, and the compressor.
  lines: () => {
    const { take } = LineBuffer.prototype;
    LineBuffer.prototype.take = function () {
      const lines = take.call(this);
      return isNow(lines.length) ? lines.subarray(lines.indexOf(LINE_FEED) + 1) : lines;
    };
  },
};

faults[process.env['PGSLUICE_TEST_LOSES'] as Loss]();
