/** Keeps the conditions of writes for an endpoint that has none, as AWS does: one write of a key at a time. */
import type { IncomingHttpHeaders } from 'node:http';

/** An error of S3. */
export interface Refusal {
  status: number;
  code: string;
}

/** How an ETag may stand in If-Match: AWS takes both, Ceph only the bare one, others only the quoted one. */
export type ETagForm = 'any' | 'bare' | 'quoted';

export class WriteConditions {
  etagForm: ETagForm = 'any';
  readonly #findETag: (path: string) => Promise<string | undefined>;
  /** The last write of each path that is under way. */
  readonly #writing = new Map<string, Promise<unknown>>();
  /** How many writes of each path are over. */
  readonly #done = new Map<string, number>();

  /** `findETag` gives the ETag, without quotes, of the object at a path of the endpoint. */
  constructor(findETag: (path: string) => Promise<string | undefined>) {
    this.#findETag = findETag;
  }

  /** Does the write when its turn comes and its condition holds; else resolves to the error that the client is to get. */
  async write(path: string, headers: IncomingHttpHeaders, write: () => Promise<void>): Promise<Refusal | undefined> {
    const writesBefore = this.#done.get(path);
    const refusal = await this.#check(path, headers);
    if (refusal !== undefined) return refusal;
    const isConditional = headers['if-none-match'] !== undefined || headers['if-match'] !== undefined;
    if (isConditional && this.#writing.has(path)) return { status: 409, code: 'ConditionalRequestConflict' };
    return this.#inTurn(path, async () => {
      // What was found is so still, unless another write was done meanwhile.
      const late = this.#done.get(path) === writesBefore ? undefined : await this.#check(path, headers);
      if (late === undefined) await write();
      return late;
    });
  }

  async #check(path: string, headers: IncomingHttpHeaders): Promise<Refusal | undefined> {
    const { 'if-none-match': ifNoneMatch, 'if-match': ifMatch } = headers;
    if (ifNoneMatch === undefined && ifMatch === undefined) return undefined;
    const found = await this.#findETag(path);
    if (ifMatch !== undefined && found === undefined) return { status: 404, code: 'NoSuchKey' };
    const holds = ifMatch === undefined ? found === undefined : this.#forms(found ?? '').includes(ifMatch);
    return holds ? undefined : { status: 412, code: 'PreconditionFailed' };
  }

  #forms(etag: string): string[] {
    const forms = { bare: [etag], quoted: [`"${etag}"`], any: [etag, `"${etag}"`] };
    return forms[this.etagForm];
  }

  async #inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const before = this.#writing.get(path) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#writing.set(path, mine);
    try {
      return await mine;
    } finally {
      this.#done.set(path, (this.#done.get(path) ?? 0) + 1);
      if (this.#writing.get(path) === mine) this.#writing.delete(path);
    }
  }
}
