/** The value that a message is about, where it may be shown: as it stands in the file, and where that is no secret. */
import type { Draft, Path } from './draft.ts';
import { isSecretOption } from './options.ts';

const MOST_CHARS = 60;

/** ` (it is "61 * * * *")`; nothing for what came in by a reference, which may be meant for another option. */
export function describeValue(draft: Draft, path: Path, value: unknown): string {
  const isShort = typeof value === 'string' ? value.length <= MOST_CHARS : isPlain(value);
  const isShown = isShort && !isSecretOption(path) && !draft.interpolated.has(draft.valueNode(path));
  return isShown && !mayHoldSecret(value) ? ` (it is ${JSON.stringify(value)})` : '';
}

function isPlain(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

/** A URL has a login, or a key in its query; and SQL, which is long, may have anything. */
function mayHoldSecret(value: unknown): boolean {
  return typeof value === 'string' && /:\/\/[^/]*@|:\/\/.*[?#]|['\n]/.test(value);
}
