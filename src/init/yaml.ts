/** Text as a config takes it: a value is itself, whatever it holds, and a comment stays one. */
import { visible } from '../base/visible.ts';

/** What YAML reads as the text that it is: no other type, no sign that means something, nothing that `${…}` would change. */
const PLAIN =
  /^(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_/][A-Za-z0-9_./-]*(?:(?::\/\/| |:(?=\d))[A-Za-z0-9_./-]+)*$/i;
const ONE_LINE = /^[\x20-\x7e\u00a1-\ud7ff]+$/;

/** A value: as it stands where that is safe, else in quotes. */
export function yamlText(text: string): string {
  if (PLAIN.test(text) && !text.endsWith(' ')) return text;
  return quoted(text.replaceAll('${', () => '$${'));
}

/** A reference, which stays one: its path may hold what means something to YAML. */
export function yamlReference(reference: string): string {
  return /^\$\{[\w:./-]+\}$/.test(reference) ? reference : quoted(reference);
}

function quoted(text: string): string {
  return ONE_LINE.test(text) ? `'${text.replaceAll("'", "''")}'` : JSON.stringify(text);
}

/** What stands behind a `#`. */
export function commentText(text: string): string {
  return visible(text, 300);
}
