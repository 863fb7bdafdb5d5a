/** What of a config is secret, to be masked wherever it could show. */
import { mapSecrets } from './options.ts';
import type { Config } from './schema.ts';

/** A plain copy of the config with every secret replaced, fit to be printed. */
export function maskSecrets(config: Config): unknown {
  return mapSecrets(config, () => '***');
}

/** The secrets of a config, and the passwords within its URLs, for `registerSecret` of base/secrets.ts. */
export function secretValues(config: Config): string[] {
  const values: string[] = [];
  mapSecrets(config, (secret) => values.push(String(secret)));
  return [...new Set(values.flatMap((value) => [value, ...passwordsOf(value)]))];
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
