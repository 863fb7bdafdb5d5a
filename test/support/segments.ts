/** Runs of many segments: their table, what their objects hold, what the endpoint saw of them, and changes behind their back. */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { SeenRequest } from './s3-proxy.ts';
import { PREFIX, type Site } from './site.ts';

export const RUN = '20261123T021500Z';

/** Creates a table of `rows` rows of some 90 bytes in the heap, with the key `id` in their order, and analyzes it. */
export async function createRows(site: Site, table: string, rows: number): Promise<void> {
  await site.database.client.query(
    `CREATE TABLE ${table} (id int PRIMARY KEY, v text NOT NULL);
     INSERT INTO ${table} SELECT i, md5(i::text) || 'é' FROM generate_series(1, ${rows}) AS i; ANALYZE ${table}`,
  );
}

/** An archive that cuts such a table into segments of that size. */
export function segmented(table: string, by: 'key' | 'pages', targetSize: string, changes: object = {}): object {
  return { table, segments: { by, targetSize, parallel: 2 }, ...changes };
}

/** The numbers of the key `id` in the lines of a committed run; all that the manifest says is proved on the way. */
export async function idsOf(site: Site, archive: string, run = RUN): Promise<number[]> {
  return (await site.lines(archive, run)).map((line) => (JSON.parse(line) as { id: number }).id);
}

/** Each number from 1 to `rows`, once. */
export function assertEachOnce(ids: readonly number[], rows: number): void {
  const seen = new Uint8Array(rows + 1);
  for (const id of ids) seen[id] = (seen[id] ?? 0) + 1;
  const wrong = seen.findIndex((times, id) => id > 0 && times !== 1);
  assert.equal(wrong, -1, `id ${wrong} is there ${seen[wrong]} times`);
  assert.equal(ids.length, rows);
}

/** What a committed run leaves: its manifest and the objects that this names, no journal, no unfinished upload. */
export async function assertOnlyTheRunIsLeft(site: Site, archive: string, run = RUN): Promise<void> {
  const manifest = await site.manifest(archive, run);
  assert.ok(manifest !== undefined, 'there is no manifest');
  const folder = `${PREFIX}${archive}/run=${run}/`;
  const keys = (await site.keys(archive)).filter((key) => key.startsWith(folder));
  assert.deepEqual(keys.toSorted(), [`${folder}_manifest.json`, ...manifest.objects.map(({ key }) => key)].toSorted());
  assert.deepEqual(site.pendingUploads(archive), []);
}

/** Writes an object past the proxy and past pgsluice. */
export async function putObject(site: Site, key: string, body: Buffer): Promise<void> {
  await send(site, 'PUT', key, body);
}

export async function removeObject(site: Site, key: string): Promise<void> {
  await send(site, 'DELETE', key);
}

/** The object of a segment. */
export function partKey(archive: string, segment: number, extension = 'jsonl.gz', run = RUN): string {
  return `${PREFIX}${archive}/run=${run}/part-${String(segment).padStart(5, '0')}.${extension}`;
}

/** Numbers of the segments whose upload was begun, in the order of their beginning, as the endpoint saw it. */
export function uploadsBegun(requests: readonly SeenRequest[], archive: string): number[] {
  return requests
    .filter(({ operation }) => operation === 'PutObject' || operation === 'CreateMultipartUpload')
    .flatMap(({ key }) => segmentOf(key, archive));
}

/** Segments that were uploaded again although the endpoint had confirmed their receipt. */
export function uploadedInVain(requests: readonly SeenRequest[], archive: string): number[] {
  const received = new Set<number>();
  const again: number[] = [];
  for (const request of requests) {
    const { operation, key, status } = request;
    if (operation !== 'PutObject' && operation !== 'CreateMultipartUpload') continue;
    again.push(...segmentOf(key, archive).filter((segment) => received.has(segment)));
    if (status === 200) for (const segment of receiptsIn(request, archive)) received.add(segment);
  }
  return again;
}

function segmentOf(key: string, archive: string): number[] {
  const match = new RegExp(`^${PREFIX}${archive}/run=\\w+/part-(\\d{5})\\.jsonl`).exec(key);
  return match === null ? [] : [Number(match[1])];
}

/** All of a document of receipts, whatever framing the request put around it. */
function receiptsIn({ key, sent }: SeenRequest, archive: string): number[] {
  if (!new RegExp(`^${PREFIX}${archive}/run=\\w+/_pgsluice/part-\\d{5}\\.json$`).test(key)) return [];
  const segments = [
    ...Buffer.concat(sent)
      .toString()
      .matchAll(/"segment": ?(\d+)/g),
  ].map(([, number]) => Number(number));
  assert.ok(segments.length > 0, `no receipt was sent to ${key}`);
  return segments;
}

async function send(site: Site, method: string, key: string, body?: Buffer): Promise<void> {
  const { host, port } = site.s3;
  await new Promise<void>((resolve, reject) => {
    const request = http.request({ host, port, method, path: `/archive/${encodeURI(key)}` }, (answer) => {
      answer.resume();
      answer.on('end', () => {
        if ((answer.statusCode ?? 500) < 300) resolve();
        else reject(new Error(`${method} ${key}: ${answer.statusCode}`));
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}
