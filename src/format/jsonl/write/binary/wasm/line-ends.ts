/** Counts lines, whoever wrote them: it looks at their bytes alone. */
import { RESULT_AT } from './places.ts';

const LINE_FEED: u8 = 0x0a;

/**
 * Looks for line feeds in memory[at, end). The result is left at RESULT_AT: how many there are, and, if there are any, where the first one is, what
 * is behind the last one, and the bytes of the longest line between two of them.
 */
export function countLines(at: usize, end: usize): void {
  const feeds = i8x16.splat(LINE_FEED);
  let lines: u32 = 0;
  let first: usize = 0;
  let start: usize = at;
  let longest: usize = 0;
  let from = at;
  while (from < end) {
    let found: u64 = 0;
    if (end - from >= 64) {
      const a = i8x16.eq(v128.load(from), feeds);
      const b = i8x16.eq(v128.load(from, 16), feeds);
      const c = i8x16.eq(v128.load(from, 32), feeds);
      const d = i8x16.eq(v128.load(from, 48), feeds);
      if (v128.any_true(v128.or(v128.or(a, b), v128.or(c, d))))
        found =
          (<u64>i8x16.bitmask(a)) |
          ((<u64>i8x16.bitmask(b)) << 16) |
          ((<u64>i8x16.bitmask(c)) << 32) |
          ((<u64>i8x16.bitmask(d)) << 48);
    } else {
      for (let left = end; left > from; left -= 1) found = (found << 1) | u64(load<u8>(left - 1) == LINE_FEED);
    }
    while (found != 0) {
      const feed = from + <usize>ctz(found);
      found &= found - 1;
      if (lines == 0) first = feed;
      else if (feed - start > longest) longest = feed - start;
      lines += 1;
      start = feed + 1;
    }
    from += 64;
  }
  store<u32>(RESULT_AT, lines);
  store<u32>(RESULT_AT, first, 4);
  store<u32>(RESULT_AT, start, 8);
  store<u32>(RESULT_AT, longest, 12);
}
