/** Says once what the sslmode of a source means here, where people know another meaning of it from libpq. */
import type { Log } from '../base/log.ts';
import { parsePostgresUrl } from '../postgres/url.ts';
import type { SourceConfig } from './schema.ts';

/** Sources that were spoken of, each with its mode: a config that is loaded again may have others. */
const told = new Set<string>();

/** A log line for each of the sources whose sslmode verifies more than libpq's; once in the life of the process. */
export function tellTlsMeanings(log: Log, sources: readonly SourceConfig[]): void {
  for (const { name, url } of sources) {
    const { stricterThan } = parsePostgresUrl(url);
    const known = `${name} ${stricterThan ?? ''}`;
    if (stricterThan === undefined || told.has(known)) continue;
    told.add(known);
    log.info(
      { source: name },
      `sslmode=${stricterThan} means verify-full here: the server must have TLS, and a certificate for its name that is verified; see docs/install.md`,
    );
  }
}
