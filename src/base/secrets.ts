/** Keeps secrets out of every text that leaves the process: log lines, errors on a terminal, records of a failure. */

const MASK = '***';

/** A shorter value is too likely to be an ordinary word, and masking that would make the text useless. */
const MIN_SECRET_CHARS = 4;

/**
 * `scheme://user:password@`. A password may hold a bare `/`, `?` or `#` when someone forgot to encode it, so the second
 * alternative looks further for the `@`, unless what follows the colon is a port. The limits keep a match linear.
 */
const URL_PASSWORD =
  /\b([a-z][a-z0-9+.-]{0,20}:\/\/[^\s:@/?#"<>`]{0,256}:)(?:[^\s/?#"<>`]{1,4096}|(?!\d{1,5}(?:[/?#]|$))[^\s"<>`]{1,4096})@/gi;

/** A password in a connection string (`password='…'`), or a part of a query string that grants access. */
const SECRET_PARAMETER =
  /\b((?:(?:ssl)?password\s?=\s?)|(?:(?:token|X-Amz-(?:Credential|Signature|Security-Token))=))(?:'[^']{0,4096}'|[^\s&;,"'<>]{1,4096})/gi;

const registered = new Set<string>();
let registeredPattern: RegExp | undefined;

/** Makes {@link scrub} mask this value from now on, also where it is encoded for a URL or quoted in JSON. */
export function registerSecret(value: string): void {
  const secret = value.trim();
  if (secret.length < MIN_SECRET_CHARS) return;
  for (const form of [secret, urlForm(secret), JSON.stringify(secret).slice(1, -1)]) registered.add(form);
  // The longest goes first: a secret that contains another one would otherwise leave its rest behind.
  const forms = [...registered].sort((a, b) => b.length - a.length);
  registeredPattern = new RegExp(forms.map(escapeForPattern).join('|'), 'g');
}

/** The text with the password of every URL, every secret parameter and every registered secret masked. */
export function scrub(text: string): string {
  const known = registeredPattern === undefined ? text : text.replace(registeredPattern, MASK);
  return known.replace(URL_PASSWORD, `$1${MASK}@`).replace(SECRET_PARAMETER, `$1${MASK}`);
}

/** A replacer for JSON.stringify that scrubs every text. */
export function scrubText(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? scrub(value) : value;
}

function urlForm(secret: string): string {
  // A lone surrogate has no encoding; such a secret cannot stand in a URL either.
  return secret.isWellFormed() ? encodeURIComponent(secret) : secret;
}

function escapeForPattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
