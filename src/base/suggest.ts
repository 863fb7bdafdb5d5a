/** Finds what a person meant by a name that does not exist: the one "did you mean". */
import { distance } from 'fastest-levenshtein';

/** A third of the letters may be wrong, or two of them in a short name. */
const MOST_EDITS = 2;

/** The one of `known` that is nearest to `text`, upper and lower case alike; undefined when none is near. */
export function nearestName(text: string, known: readonly string[]): string | undefined {
  const wanted = text.toLowerCase();
  const limit = Math.min(text.length - 1, Math.max(MOST_EDITS, text.length / 3));
  let best: { name: string; edits: number } | undefined;
  for (const name of known) {
    const edits = distance(wanted, name.toLowerCase());
    if (edits <= limit && (best === undefined || edits < best.edits)) best = { name, edits };
  }
  return best?.name;
}
