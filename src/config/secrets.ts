/** What of a config is secret, to be masked wherever it could show. */
import { mapSecrets, withoutUnits } from './options.ts';
import type { Config } from './schema.ts';

/** Shorter paths, and parts of them, are ordinary words. */
const MIN_PATH_CHARS = 16;

/** The options as they are written, with all defaults and every secret replaced, fit to be printed. */
export function maskSecrets(config: Config): unknown {
  return mapSecrets(withoutUnits(asWritten(config)), () => '***');
}

/** The secrets of a config, and the passwords within its URLs, for `registerSecret` of base/secrets.ts. */
export function secretValues(config: Config): string[] {
  const values: string[] = [];
  mapSecrets(asWritten(config), (secret) => values.push(...textsOf(secret)));
  return [...new Set(values.flatMap((value) => [value, ...passwordsOf(value), ...pathOf(value)]))];
}

/** The options are found by their paths in the file. */
function asWritten({ patterns, ...config }: Config): Omit<Config, 'patterns'> {
  return { ...config, archives: { ...patterns, ...config.archives } };
}

/** A secret may be a mapping of some. */
function textsOf(secret: unknown): string[] {
  return typeof secret === 'object' && secret !== null ? Object.values(secret).flatMap(textsOf) : [String(secret)];
}

/** What grants access in the URL of a webhook is its path and its query; errors may name these alone. */
function pathOf(value: string): string[] {
  const url = /^https?:/i.test(value) ? URL.parse(value) : null;
  if (url === null || url.pathname.length + url.search.length < MIN_PATH_CHARS) return [];
  const long = url.pathname.split('/').filter((part) => part.length >= MIN_PATH_CHARS);
  return [url.pathname + url.search, ...long];
}

/** A password may also stand in the query; it may be shown as it is written or decoded. */
function passwordsOf(value: string): string[] {
  const url = URL.parse(value);
  const written = [url?.password, url?.searchParams.get('password')].filter((password) => typeof password === 'string');
  return written.filter((password) => password !== '').flatMap((password) => [password, decode(password)]);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
