/**
 * An S3 endpoint that costs little, as a process of its own: it checks the digest of each body, and holds journals and manifests;
 * data it drops, unless it is told to keep it. Over its channel it tells its address, and takes true to keep
 * data from now on, or false not to, each answered with itself.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';

interface Held {
  bytes: number;
  etag: string;
  /** Undefined when it was dropped. */
  body: Buffer[] | undefined;
  modified: string;
}

type Part = Pick<Held, 'bytes' | 'etag' | 'body'>;

const IS_DATA = /\.jsonl(\.gz|\.zst)?$/;
const KEYS_A_LIST = 1000;

/** By path, the bucket in front. */
const objects = new Map<string, Held>();
const uploads = new Map<string, { path: string; parts: Map<number, Part> }>();
let keepsAll = false;
let lastUpload = 0;

const server = http.createServer((req, res) => {
  answer(req, res).catch((error: unknown) => {
    res.writeHead(500).end(String(error));
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.on('message', (keep: boolean) => {
  keepsAll = keep;
  process.send?.(keep);
});
process.on('disconnect', () => process.exit());
process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);

interface Reply {
  status: number;
  headers?: http.OutgoingHttpHeaders;
  body?: string | readonly Buffer[];
}

async function answer(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
  const { status, headers = {}, body = '' } = await replyTo(req);
  res.writeHead(status, headers);
  if (typeof body === 'string') res.end(body);
  else {
    for (const piece of body) res.write(piece);
    res.end();
  }
}

async function replyTo(req: http.IncomingMessage): Promise<Reply> {
  const url = new URL(req.url ?? '', 'http://localhost');
  const path = decodeURIComponent(url.pathname).replace(/\/$/, '');
  const query = url.searchParams;
  const part = await take(req, path);
  if (part === undefined) return refusal(400, 'BadDigest');
  const isBucket = !path.slice(1).includes('/');
  switch (req.method) {
    case 'GET':
      if (isBucket) return query.has('uploads') ? listUploads(path) : list(path, query);
      return send(objects.get(path), true, req.headers.range);
    case 'HEAD':
      return isBucket ? { status: 200 } : send(objects.get(path), false);
    case 'DELETE':
      if (query.has('uploadId')) uploads.delete(query.get('uploadId') ?? '');
      else objects.delete(path);
      return { status: 204 };
    case 'PUT':
      return query.has('partNumber') ? putPart(query, part) : put(req, path, part);
    default:
      if (query.has('delete')) return removeAll(path, part);
      return query.has('uploads') ? create(path) : complete(req, path, query);
  }
}

/** The body, if it is to be held; undefined when it is not what its digest says. */
async function take(req: http.IncomingMessage, path: string): Promise<Part | undefined> {
  const holds = keepsAll || !IS_DATA.test(path);
  const body: Buffer[] = [];
  const md5 = req.headers['content-md5'] === undefined ? undefined : createHash('md5');
  let [bytes, crc] = [0, 0];
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    crc = crc32(chunk, crc);
    md5?.update(chunk);
    if (holds) body.push(chunk);
  }
  const found = Buffer.alloc(4);
  found.writeUInt32BE(crc);
  const isWhole =
    [undefined, found.toString('base64')].includes(req.headers['x-amz-checksum-crc32'] as string | undefined) &&
    md5?.digest('base64') === req.headers['content-md5'];
  const etag = `"${found.toString('hex')}${bytes.toString(16).padStart(24, '0')}"`;
  return isWhole ? { bytes, etag, body: holds ? body : undefined } : undefined;
}

function put({ headers }: http.IncomingMessage, path: string, part: Part): Reply {
  const before = objects.get(path);
  if (headers['if-none-match'] === '*' && before !== undefined) return refusal(412, 'PreconditionFailed');
  // As S3 does, it takes an ETag with its quotes and without.
  if (headers['if-match'] !== undefined && headers['if-match'].replaceAll('"', '') !== before?.etag.replaceAll('"', ''))
    return refusal(before === undefined ? 404 : 412, before === undefined ? 'NoSuchKey' : 'PreconditionFailed');
  objects.set(path, { ...part, modified: new Date().toISOString() });
  return { status: 200, headers: { etag: part.etag } };
}

function putPart(query: URLSearchParams, part: Part): Reply {
  const upload = uploads.get(query.get('uploadId') ?? '');
  if (upload === undefined) return refusal(404, 'NoSuchUpload');
  upload.parts.set(Number(query.get('partNumber')), part);
  return { status: 200, headers: { etag: part.etag } };
}

function create(path: string): Reply {
  lastUpload += 1;
  uploads.set(String(lastUpload), { path, parts: new Map() });
  return { status: 200, body: xml('InitiateMultipartUploadResult', `<UploadId>${lastUpload}</UploadId>`) };
}

function complete(req: http.IncomingMessage, path: string, query: URLSearchParams): Reply {
  const id = query.get('uploadId') ?? '';
  const upload = uploads.get(id);
  if (upload === undefined) return refusal(404, 'NoSuchUpload');
  const parts = [...upload.parts].toSorted(([a], [b]) => a - b).map(([, part]) => part);
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const digest = createHash('md5').update(parts.map(({ etag }) => etag).join(''));
  const etag = `"${digest.digest('hex')}-${parts.length}"`;
  const isHeld = parts.every(({ body }) => body !== undefined);
  const body = isHeld ? parts.flatMap(({ body: pieces }) => pieces ?? []) : undefined;
  const reply = put(req, path, { bytes, etag, body });
  if (reply.status !== 200) return reply;
  uploads.delete(id);
  return { status: 200, body: xml('CompleteMultipartUploadResult', `<ETag>${etag}</ETag>`) };
}

function removeAll(path: string, { body = [] }: Part): Reply {
  const keys = Buffer.concat(body)
    .toString()
    .matchAll(/<Key>(.*?)<\/Key>/g);
  for (const [, key = ''] of keys) objects.delete(`${path}/${key}`);
  return { status: 200, body: xml('DeleteResult', '') };
}

/** `range` is one from a byte on, as a client that reads several at once asks for. */
function send(held: Held | undefined, wantsBody: boolean, range = ''): Reply {
  if (held === undefined) return refusal(404, 'NoSuchKey');
  if (wantsBody && held.body === undefined) return refusal(500, 'Dropped');
  const { bytes, etag, modified, body = [] } = held;
  const headers = { 'content-length': bytes, etag, 'last-modified': new Date(modified).toUTCString() };
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  if (first === undefined) return { status: 200, headers, body: wantsBody ? body : '' };
  const [from, to] = [Number(first), Math.min(last === '' ? bytes : Number(last), bytes - 1)];
  const ofRange = { 'content-length': to + 1 - from, 'content-range': `bytes ${from}-${to}/${bytes}` };
  return { status: 206, headers: { ...headers, ...ofRange }, body: cut(body, from, to + 1) };
}

function cut(pieces: readonly Buffer[], from: number, to: number): Buffer[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    const part = piece.subarray(Math.max(0, from - at), Math.max(0, to - at));
    at += piece.length;
    return part.length === 0 ? [] : [part];
  });
}

function list(bucket: string, query: URLSearchParams): Reply {
  const start = `${bucket}/${query.get('prefix') ?? ''}`;
  const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
  const keys = [...objects.keys()]
    .filter((path) => path.startsWith(start))
    .map((path) => upToDelimiter(path.slice(bucket.length + 1), query))
    .filter((key) => key > after)
    .toSorted();
  const names = [...new Set(keys)];
  const page = names.slice(0, KEYS_A_LIST);
  const contents = page.map((key) => {
    const held = objects.get(`${bucket}/${key}`);
    if (held === undefined) return `<CommonPrefixes><Prefix>${key}</Prefix></CommonPrefixes>`;
    const { bytes, etag, modified } = held;
    return `<Contents><Key>${key}</Key><LastModified>${modified}</LastModified><ETag>${etag}</ETag><Size>${bytes}</Size></Contents>`;
  });
  const isCut = page.length < names.length;
  const next = isCut ? `<NextContinuationToken>${page.at(-1) ?? ''}</NextContinuationToken>` : '';
  return {
    status: 200,
    body: xml('ListBucketResult', `<IsTruncated>${isCut}</IsTruncated>${next}${contents.join('')}`),
  };
}

/** The key, or the folder that it is in below the prefix, where folders are asked for. */
function upToDelimiter(key: string, query: URLSearchParams): string {
  const delimiter = query.get('delimiter');
  const at = delimiter === null ? -1 : key.indexOf(delimiter, query.get('prefix')?.length ?? 0);
  return at < 0 ? key : key.slice(0, at + 1);
}

function listUploads(bucket: string): Reply {
  const all = [...uploads].map(
    ([id, { path }]) => `<Upload><Key>${path.slice(bucket.length + 1)}</Key><UploadId>${id}</UploadId></Upload>`,
  );
  return {
    status: 200,
    body: xml(
      'ListMultipartUploadsResult',
      `<MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>${all.join('')}`,
    ),
  };
}

function refusal(status: number, code: string): Reply {
  return { status, headers: { 'content-type': 'application/xml' }, body: xml('Error', `<Code>${code}</Code>`) };
}

/** Keys of the benchmarks have no character that XML would have to escape. */
function xml(name: string, content: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><${name}>${content}</${name}>`;
}
