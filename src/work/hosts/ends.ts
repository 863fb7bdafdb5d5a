/** What the names of a source and a destination stand for, so that another host can tell whether they mean the same there. */
import { createHash } from 'node:crypto';
import { fail, type FailureError } from '../../base/errors.ts';
import { ownEntry } from '../../base/own.ts';
import type { DestinationConfig } from '../../config/schema.ts';
import type { SharedEnds } from '../../ledger/shared-task.ts';
import { describeLogin } from '../../postgres/connect.ts';
import type { Binding } from '../../segment/binding.ts';

/** Options that may differ between hosts: credentials, keys, what is said elsewhere, and what only costs memory. */
const OWN_OPTIONS: ReadonlySet<string> = new Set([
  ...['name', 'url', 'location', 'endpoint', 'region', 'accessKeyId', 'secretAccessKey'],
  ...['signing', 'allowUnsigned', 'partBytes', 'partsInFlight'],
]);

/** Throws FailureError `host-differs` where the config has no such names. */
export function describeEnds(
  { sources, destinations }: Binding,
  names: { source: string; destination: string },
): SharedEnds {
  const source = ownEntry(sources, names.source);
  if (source === undefined) throw differs(`it has no source "${names.source}"`);
  const destination = destinationOf({ destinations }, names.destination);
  const options = Object.entries(destination)
    .filter(([name, value]) => !OWN_OPTIONS.has(name) && value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...{ source: names.source, destination: names.destination },
    ...describeLogin(source.url),
    ...whereIs(destination),
    options: createHash('sha256').update(JSON.stringify(options)).digest('hex'),
  };
}

/** Throws FailureError `host-differs` where the config has no such name. */
export function destinationOf({ destinations }: Pick<Binding, 'destinations'>, name: string): DestinationConfig {
  const destination = ownEntry(destinations, name);
  if (destination === undefined) throw differs(`it has no destination "${name}"`);
  return destination;
}

function whereIs({ location, endpoint = '', region = '' }: DestinationConfig) {
  return { location: JSON.stringify(location), endpoint, region };
}

/** What a job says of the destination: whoever takes it is not to read what the segments share from another one. */
export function digestDestination(binding: Pick<Binding, 'destinations'>, name: string): string {
  return createHash('sha256')
    .update(JSON.stringify(whereIs(destinationOf(binding, name))))
    .digest('hex');
}

/** Throws FailureError `host-differs` when this host's config has another place under the name. */
export function requireSameDestination(
  binding: Pick<Binding, 'destinations'>,
  { destination: name, destinationDigest }: { destination: string; destinationDigest: string },
): void {
  if (digestDestination(binding, name) !== destinationDigest)
    throw differs(`its destination "${name}" has another url, endpoint or region`);
}

const WORDS: Readonly<Record<keyof SharedEnds, string>> = {
  source: 'name of the source',
  destination: 'name of the destination',
  database: 'database of the source',
  role: 'role of the source',
  location: 'url of the destination',
  endpoint: 'endpoint of the destination',
  region: 'region of the destination',
  options: 'options of the destination',
};

/** Throws FailureError `host-differs`, which says what does, when this host's config has something else under the names. */
export function requireSameEnds(binding: Binding, theirs: SharedEnds): void {
  const ours = describeEnds(binding, theirs);
  const different = (Object.keys(WORDS) as (keyof SharedEnds)[]).find((part) => ours[part] !== theirs[part]);
  if (different === undefined) return;
  throw differs(
    `its ${WORDS[different]} is another one (source "${theirs.source}", destination "${theirs.destination}")`,
  );
}

/** Of a host whose config cannot do what a job asks for. */
export function differs(what: string): FailureError {
  return fail('host-differs', { stage: 'worker', message: `the config of this host differs: ${what}` });
}
