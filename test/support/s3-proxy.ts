/**
 * An HTTP proxy in front of an S3 endpoint. It keeps book of the requests and uploads, injects faults, and adds what the
 * endpoint lacks: a list of unfinished uploads, and conditional writes. Path-style requests only.
 */
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalS3 } from '../../src/demo/s3-server.ts';
import { WriteConditions } from './s3-conditions.ts';

/** A request that came in; `status` is what the client got, 0 while or when it got nothing. */
export interface SeenRequest {
  /** As S3 calls it, such as `UploadPart`. */
  operation: string;
  method: string;
  bucket: string;
  key: string;
  query: Record<string, string>;
  headers: http.IncomingHttpHeaders;
  status: number;
  /** What was sent, as it was sent, when it is receipts; of other requests nothing is kept. */
  sent: Buffer[];
  /** Nothing more will come of it, whether its client is still there or not. */
  isOver: boolean;
}

/** What may happen to a request. */
export type Fault =
  /** Answers with an S3 error, without asking the endpoint. */
  | { kind: 'error'; status: number; code: string; message?: string }
  /** Destroys the connection after that many bytes of the request's body. */
  | { kind: 'reset'; afterBytes: number }
  /** Never answers. */
  | { kind: 'stall' }
  /** Takes the request whole, and passes it on when `until` resolves, though its client may be gone by then. */
  | { kind: 'hold'; until: Promise<unknown> }
  /** Waits before it passes the request on. */
  | { kind: 'delay'; ms: number }
  /** Passes the request on, and destroys the connection instead of passing the answer back. */
  | { kind: 'lose-answer' }
  /** Answers 200 before it reads the body, which it does when `until` resolves, and passes it on then. */
  | { kind: 'answer-early'; etag: string; until: Promise<unknown> }
  /** Passes the request on, and its answer back without the ETag. */
  | { kind: 'no-etag' }
  /** Answers 200 with an error inside, as S3 does for a CompleteMultipartUpload that takes long; nothing is passed on. */
  | { kind: 'error-in-200'; code: string }
  /** Answers 200 with this body, as a proxy does that wants a login; nothing is passed on. */
  | { kind: 'other-page'; body: string }
  /** Passes only the first bytes of the answer's body back, then destroys the connection. */
  | { kind: 'cut-answer'; afterBytes: number }
  /** Passes the request's body on at this speed. */
  | { kind: 'throttle'; bytesPerSecond: number };

/** A fault that was ordered. */
export interface OrderedFault {
  /** How often it has happened. */
  readonly hits: number;
  /** Resolves when it happens for the first time. */
  readonly firstHit: Promise<unknown>;
  cancel(): void;
}

export interface ProxyUpload {
  bucket: string;
  key: string;
  uploadId: string;
  startedAt: Date;
}

interface Rule {
  matches: (request: SeenRequest) => boolean;
  fault: Fault;
  /** Requests that are still to be passed on before. */
  passes: number;
  left: number;
  hits: number;
  hit: () => void;
}

interface Exchange {
  seen: SeenRequest;
  req: http.IncomingMessage;
  res: http.ServerResponse;
  fault: Fault | undefined;
}

export class S3Proxy {
  /** Everything that came in, in order. */
  readonly requests: SeenRequest[] = [];
  /** Whether the proxy answers ListMultipartUploads from its book; otherwise the endpoint answers what it can. */
  listsUploads = true;
  /** Uploads on one page of that list. */
  uploadsPerPage = 1000;
  /** Keys on one page of a list, where the client does not say; undefined leaves it to the endpoint, which has 1,000. */
  keysPerPage: number | undefined;
  /** Whether the proxy keeps If-None-Match and If-Match of writes; otherwise they are ignored, as some servers do. */
  keepsConditions = true;
  /** The writes whose conditions it keeps, as long as it keeps any. */
  readonly conditional = new Set(['PutObject', 'CompleteMultipartUpload']);
  /** Other names of a bucket: two configs that write to one place, and do not know it of each other. */
  readonly aliases = new Map<string, string>();
  readonly conditions = new WriteConditions((path) => this.#findETag(path));
  /** Whether the answer to CompleteMultipartUpload tells the ETag; Ceph's does not. */
  answersETags = true;
  /** Says which requests are let through; others are refused, without a text as Ceph's are. */
  allows: (request: SeenRequest) => boolean = () => true;
  /** Milliseconds by which the Date of all answers is off. */
  clockOffsetMs = 0;

  readonly #upstream: { host: string; port: number };
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #server: http.Server;
  readonly #sockets = new Set<Socket>();
  readonly #uploads = new Map<string, ProxyUpload>();
  /** A request came in, or was answered. */
  readonly #changes = new EventEmitter();
  #rules: Rule[] = [];
  #port = 0;

  constructor(upstream: Pick<LocalS3, 'host' | 'port'>) {
    this.#upstream = { host: upstream.host, port: upstream.port };
    this.#server = http.createServer((req, res) => void this.#serve(req, res));
    // A stalled request must stay stalled for as long as the test likes.
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens, after the first time on the same port again. */
  async up(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Destroys all connections and refuses new ones. */
  async down(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async stop(): Promise<void> {
    await this.down();
    this.#agent.destroy();
  }

  /**
   * Orders `fault` for the next `times` requests of that operation (for a key that ends so, when given), once so many were
   * passed on as they are. `isWanted` leaves out some of them.
   */
  order(
    operation: string,
    fault: Fault,
    times = 1,
    keyEnd = '',
    passed = 0,
    isWanted: (seen: SeenRequest) => boolean = () => true,
  ): OrderedFault {
    const { promise: firstHit, resolve } = Promise.withResolvers<undefined>();
    const matches = (seen: SeenRequest): boolean =>
      (operation === '*' || seen.operation === operation) && seen.key.endsWith(keyEnd) && isWanted(seen);
    const rule: Rule = { matches, fault, passes: passed, left: times, hits: 0, hit: () => resolve(undefined) };
    this.#rules.push(rule);
    return {
      get hits() {
        return rule.hits;
      },
      firstHit,
      cancel: () => {
        rule.left = 0;
      },
    };
  }

  /** Resolves as soon as the requests so far, or one that was answered now, fit; or when `signal` aborts. */
  async until(fits: () => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const look = (): void => {
      if (signal.aborted || fits()) resolve(undefined);
    };
    this.#changes.on('change', look);
    signal.addEventListener('abort', look);
    look();
    await promise.finally(() => {
      this.#changes.off('change', look);
      signal.removeEventListener('abort', look);
    });
  }

  /** Forgets all ordered faults and recorded requests; uploads stay known. */
  reset(): void {
    this.#rules = [];
    this.requests.length = 0;
  }

  /** Uploads that were started, and neither completed nor aborted. */
  pendingUploads(): ProxyUpload[] {
    return [...this.#uploads.values()];
  }

  /** Recorded requests of one operation. */
  seen(operation: string): SeenRequest[] {
    return this.requests.filter((request) => request.operation === operation);
  }

  async #serve(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    req.url = this.#byRealName(req.url ?? '/');
    const seen = describe(req);
    const { socket } = req;
    this.requests.push(seen);
    this.#changes.emit('change');
    res.on('finish', () => {
      seen.status = res.statusCode;
      this.#changes.emit('change');
    });
    if (this.clockOffsetMs !== 0) res.setHeader('date', new Date(Date.now() + this.clockOffsetMs).toUTCString());
    try {
      await this.#answer({ seen, req, res, fault: this.#takeFault(seen) });
    } catch {
      // One of the two sides is gone; the other learns it from its connection.
      socket.destroy();
    } finally {
      seen.isOver = true;
    }
  }

  #byRealName(url: string): string {
    const [, name = ''] = /^\/([^/?]*)/.exec(url) ?? [];
    const bucket = this.aliases.get(name);
    return bucket === undefined ? url : `/${bucket}${url.slice(name.length + 1)}`;
  }

  #takeFault(seen: SeenRequest): Fault | undefined {
    const rule = this.#rules.find((candidate) => candidate.left > 0 && candidate.matches(seen));
    if (rule === undefined) return undefined;
    if (rule.passes > 0) {
      rule.passes -= 1;
      return undefined;
    }
    rule.left -= 1;
    rule.hits += 1;
    rule.hit();
    return rule.fault;
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { fault, req, res, seen } = exchange;
    // The request lets go of its socket when it is destroyed.
    const { socket } = req;
    if (!this.allows(seen)) {
      await drain(req);
      answerError(res, 403, 'AccessDenied', '');
      return;
    }
    switch (fault?.kind) {
      case 'error':
        await drain(req);
        answerError(res, fault.status, fault.code, fault.message);
        return;
      case 'error-in-200':
        await drain(req);
        answerXml(res, 200, errorXml(fault.code));
        return;
      case 'other-page':
        await drain(req);
        answerXml(res, 200, fault.body);
        return;
      case 'reset':
        await readBytes(req, fault.afterBytes);
        socket.resetAndDestroy();
        return;
      case 'stall':
        return;
      case 'delay':
        await sleep(fault.ms);
        break;
      case 'hold':
        await this.#hold(exchange, fault.until);
        return;
      case 'answer-early':
        // What nobody has begun to read by the end of the answer is thrown away.
        req.once('readable', () => undefined);
        res.writeHead(200, { etag: fault.etag, 'content-length': '0' }).end();
        await fault.until;
        await this.#hold(exchange, Promise.resolve());
        return;
      default:
      // The others happen while the request is passed on.
    }
    if (seen.operation === 'ListMultipartUploads' && this.listsUploads) {
      answerXml(res, 200, this.#uploadsXml(seen));
    } else if (this.#isConditional(seen)) {
      const write = (): Promise<void> => this.#forward(exchange);
      const refusal = await this.conditions.write(withoutQuery(req.url), req.headers, write);
      if (refusal === undefined) return;
      await drain(req);
      answerError(res, refusal.status, refusal.code);
    } else {
      await this.#forward(exchange);
    }
  }

  #isConditional({ operation }: SeenRequest): boolean {
    return this.keepsConditions && this.conditional.has(operation);
  }

  /** What the endpoint said to a held request is in `seen.status`; its client hears of it, if it still listens. */
  async #hold({ seen, req, res }: Exchange, until: Promise<unknown>): Promise<void> {
    const sent = await buffer(req);
    if (isOfReceipts(seen)) seen.sent.push(sent);
    await until;
    const send = async (): Promise<void> => {
      const headers = withoutConditions(req.headers);
      const out = http.request({ ...this.#upstream, agent: this.#agent, method: req.method, path: req.url, headers });
      out.end(sent);
      const [answer] = (await once(out, 'response')) as [http.IncomingMessage];
      const body = (await this.#noteUploads(seen, answer)) ?? (await buffer(answer));
      seen.status = answer.statusCode ?? 0;
      if (res.destroyed || res.headersSent) return;
      // The length that HEAD is answered with is not that of its body.
      const length = seen.method === 'HEAD' ? {} : { 'content-length': String(body.length) };
      res.writeHead(seen.status, { ...answer.headers, ...length });
      res.end(body);
    };
    if (!this.#isConditional(seen)) return send();
    const refusal = await this.conditions.write(withoutQuery(req.url), req.headers, send);
    if (refusal === undefined) return;
    seen.status = refusal.status;
    if (!res.destroyed) answerError(res, refusal.status, refusal.code);
  }

  async #findETag(path: string): Promise<string | undefined> {
    const head = http.request({ ...this.#upstream, agent: this.#agent, method: 'HEAD', path });
    head.end();
    const [answer] = (await once(head, 'response')) as [http.IncomingMessage];
    answer.resume();
    return answer.statusCode === 200 ? (answer.headers.etag ?? '').replaceAll('"', '') : undefined;
  }

  async #forward(exchange: Exchange): Promise<void> {
    const { req, res, fault } = exchange;
    const { method, socket } = req;
    const path = this.#withPageSize(exchange.seen, req.url);
    const headers = method === 'GET' ? req.headers : withoutConditions(req.headers);
    const out = http.request({ ...this.#upstream, agent: this.#agent, method, path, headers });
    const answered = once(out, 'response') as Promise<[http.IncomingMessage]>;
    answered.catch(() => undefined);
    if (isOfReceipts(exchange.seen)) req.on('data', (chunk: Buffer) => exchange.seen.sent.push(chunk));
    await (fault?.kind === 'throttle' ? pipeline(req, slow(fault.bytesPerSecond), out) : pipeline(req, out));
    const [answer] = await answered;
    const body = await this.#noteUploads(exchange.seen, answer);
    if (fault?.kind === 'lose-answer') {
      answer.resume();
      socket.destroy();
      return;
    }
    const { date, ...rest } = answer.headers;
    if (body !== undefined) rest['content-length'] = String(body.length);
    if (fault?.kind === 'no-etag') delete rest.etag;
    res.writeHead(answer.statusCode ?? 502, this.clockOffsetMs === 0 ? { ...rest, date } : rest);
    if (body !== undefined) res.end(body);
    else if (fault?.kind === 'cut-answer') await passSome(answer, res, fault.afterBytes);
    else await pipeline(answer, res);
  }

  #withPageSize({ operation, query }: SeenRequest, url = '/'): string {
    if (this.keysPerPage === undefined || operation !== 'ListObjectsV2' || 'max-keys' in query) return url;
    return `${url}&max-keys=${this.keysPerPage}`;
  }

  /** Keeps the book; returns the answer's body when it had to be read for that. */
  async #noteUploads(seen: SeenRequest, answer: http.IncomingMessage): Promise<Buffer | undefined> {
    const { operation, bucket, key, query } = seen;
    if (!['CreateMultipartUpload', 'CompleteMultipartUpload', 'AbortMultipartUpload'].includes(operation))
      return undefined;
    const body = await buffer(answer);
    const ok = (answer.statusCode ?? 500) < 300;
    if (ok && operation === 'CreateMultipartUpload') {
      const [, uploadId = ''] = /<UploadId>([^<]+)</.exec(body.toString()) ?? [];
      this.#uploads.set(uploadId, { bucket, key, uploadId, startedAt: new Date() });
    } else if (ok) {
      this.#uploads.delete(query['uploadId'] ?? '');
    }
    if (!this.answersETags) return Buffer.from(body.toString().replace(/<ETag>.*?<\/ETag>/, ''));
    return body;
  }

  #uploadsXml({ bucket, query }: SeenRequest): string {
    const { prefix = '', 'key-marker': keyMarker = '', 'upload-id-marker': idMarker = '' } = query;
    const order = (upload: { key: string; uploadId: string }): string => `${upload.key}\0${upload.uploadId}`;
    const after = keyMarker === '' ? '' : order({ key: keyMarker, uploadId: idMarker });
    const all = this.pendingUploads()
      .filter((upload) => upload.bucket === bucket && upload.key.startsWith(prefix) && order(upload) > after)
      .sort((a, b) => (order(a) < order(b) ? -1 : 1));
    const page = all.slice(0, this.uploadsPerPage);
    const last = page.at(-1);
    const next =
      all.length > page.length && last !== undefined
        ? `<IsTruncated>true</IsTruncated><NextKeyMarker>${escapeXml(last.key)}</NextKeyMarker><NextUploadIdMarker>${last.uploadId}</NextUploadIdMarker>`
        : '<IsTruncated>false</IsTruncated>';
    return `<ListMultipartUploadsResult><Bucket>${bucket}</Bucket><MaxUploads>${this.uploadsPerPage}</MaxUploads>${next}${page
      .map(
        ({ key, uploadId, startedAt }) =>
          `<Upload><Key>${escapeXml(key)}</Key><UploadId>${uploadId}</UploadId><Initiated>${startedAt.toISOString()}</Initiated></Upload>`,
      )
      .join('')}</ListMultipartUploadsResult>`;
  }
}

/** Starts a proxy in front of `upstream` on a free loopback port. */
export async function startProxy(upstream: Pick<LocalS3, 'host' | 'port'>): Promise<S3Proxy> {
  const proxy = new S3Proxy(upstream);
  await proxy.up();
  return proxy;
}

function describe(req: http.IncomingMessage): SeenRequest {
  const url = new URL(req.url ?? '/', 'http://s3');
  const [bucket = '', ...rest] = url.pathname.slice(1).split('/');
  const key = decodeURIComponent(rest.join('/'));
  const query = Object.fromEntries(url.searchParams);
  const method = req.method ?? '';
  return {
    operation: operationOf(method, key, query),
    method,
    bucket,
    key,
    query,
    headers: req.headers,
    status: 0,
    sent: [],
    isOver: false,
  };
}

function operationOf(method: string, key: string, query: Record<string, string>): string {
  if (key === '') return bucketOperation(method, query);
  if ('retention' in query) return method === 'PUT' ? 'PutObjectRetention' : 'GetObjectRetention';
  if (method === 'POST') return 'uploads' in query ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
  if (method === 'PUT') return 'partNumber' in query ? 'UploadPart' : 'PutObject';
  if (method === 'DELETE') return 'uploadId' in query ? 'AbortMultipartUpload' : 'DeleteObject';
  return method === 'HEAD' ? 'HeadObject' : 'GetObject';
}

function bucketOperation(method: string, query: Record<string, string>): string {
  if (method === 'POST') return 'DeleteObjects';
  if (method === 'PUT') return 'CreateBucket';
  if (method === 'HEAD') return 'HeadBucket';
  if ('versioning' in query) return 'GetBucketVersioning';
  if ('object-lock' in query) return 'GetObjectLockConfiguration';
  if ('lifecycle' in query) return 'GetBucketLifecycleConfiguration';
  return 'uploads' in query ? 'ListMultipartUploads' : 'ListObjectsV2';
}

/** Rejects when its client is gone. */
async function drain(req: http.IncomingMessage): Promise<void> {
  await finished(req.resume());
}

async function readBytes(req: http.IncomingMessage, limit: number): Promise<void> {
  let bytes = 0;
  for await (const chunk of req) {
    bytes += (chunk as Buffer).length;
    if (bytes >= limit) return;
  }
}

async function passSome(answer: http.IncomingMessage, res: http.ServerResponse, limit: number): Promise<void> {
  let left = limit;
  for await (const chunk of answer) {
    const piece = (chunk as Buffer).subarray(0, left);
    left -= piece.length;
    await new Promise((resolve) => res.write(piece, resolve));
    if (left === 0) break;
  }
  res.destroy();
}

function slow(bytesPerSecond: number): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      setTimeout(
        () => {
          done(null, chunk);
        },
        (chunk.length / bytesPerSecond) * 1000,
      );
    },
  });
}

function answerError(res: http.ServerResponse, status: number, code: string, message?: string): void {
  answerXml(res, status, errorXml(code, message));
}

function answerXml(res: http.ServerResponse, status: number, xml: string): void {
  res.writeHead(status, { 'content-type': 'application/xml', 'x-amz-request-id': 'proxy' });
  res.end(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
}

function errorXml(code: string, message = `injected ${code}`): string {
  const text = message === '' ? '' : `<Message>${escapeXml(message)}</Message>`;
  return `<Error><Code>${code}</Code>${text}<RequestId>proxy</RequestId></Error>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The proxy has kept them, or is to ignore them. */
function withoutConditions(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  const { 'if-match': _ifMatch, 'if-none-match': _ifNoneMatch, ...others } = headers;
  return others;
}

function isOfReceipts({ method, key }: SeenRequest): boolean {
  return method === 'PUT' && /\/_pgsluice\/part-\d+\.json$/.test(key);
}

function withoutQuery(url = '/'): string {
  return url.split('?')[0] ?? '/';
}
