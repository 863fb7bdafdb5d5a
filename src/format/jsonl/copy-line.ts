/** How long a line may be to come back: COPY gathers each one in memory of the server, which gives 1 GB less one byte at most. */

/** A row's text for COPY is mostly shorter than its line: it has no names and no quotes. Twice the backslashes of JSON are the exception. */
export const COPY_LINE_BYTES = 0x3fff_ffff;

/** What is said of an object whose longest line has so many bytes: nothing, unless that is too long. */
export function noteLongLine(longestLine: number, mostBytes = COPY_LINE_BYTES): { longestLine?: number } {
  return longestLine > mostBytes ? { longestLine } : {};
}
