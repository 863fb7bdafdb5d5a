/** A long list as people are shown it: its two ends. */

/** So many lines at either end are shown. */
const MOST_SHOWN = 10;

export function bothEnds(lines: readonly string[]): readonly string[] {
  if (lines.length <= 2 * MOST_SHOWN) return lines;
  return [...lines.slice(0, MOST_SHOWN), `  … ${lines.length - 2 * MOST_SHOWN} more …`, ...lines.slice(-MOST_SHOWN)];
}
