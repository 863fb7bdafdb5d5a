/** How long a row may be: COPY's text form gathers each one in memory of the server, which gives 1 GB less one byte at most. */

/** So much the server has for a row: for its text with all escapes, and for its values in the binary form. */
export const COPY_LINE_BYTES = 0x3fff_ffff;

/** No line up to this length can be too long for COPY: without names and quotes, a byte of it becomes two at most. */
const SAFE_LINE_BYTES = Math.floor(COPY_LINE_BYTES / 2);

/** What is said of an object whose longest line has so many bytes: nothing, unless COPY may not take it. */
export function noteLongLine(longestLine: number, mostBytes = SAFE_LINE_BYTES): { longestLine?: number } {
  return longestLine > mostBytes ? { longestLine } : {};
}
