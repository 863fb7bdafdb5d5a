/** Tells a manifest that cannot be believed from a destination that cannot be read. */
import { toFailure, type Failure } from '../base/errors.ts';

/** Codes of such failures. */
export const TELL_OF_MANIFEST: ReadonlySet<string> = new Set([
  'bad-manifest',
  'misplaced',
  'newer-journal',
  'untrusted',
  'object-too-large',
]);

/** What is wrong with a manifest, by what reading it threw; undefined for what tells of the way to it alone. */
export function problemOfManifest(error: unknown): Failure | undefined {
  const failure = toFailure(error, 'verify');
  return TELL_OF_MANIFEST.has(failure.code) ? failure : undefined;
}
