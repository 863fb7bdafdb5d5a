/** An S3 endpoint on this machine for the demo, the tests and the benchmark: fauxqs, with its objects on disk. */
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Closers } from '../base/closers.ts';
import { UsageError } from '../base/errors.ts';
import { answerListUploads, type UploadBook } from './list-uploads.ts';
import { entryOf, findDemoPackage, specifierOf } from './packages.ts';
import { S3Bodies } from './s3-bodies.ts';

/** A running endpoint. Any credentials are accepted; those given here just have the right form. */
export interface LocalS3 {
  endpoint: string;
  host: string;
  port: number;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Where the objects are kept that are not small. */
  folder: string;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** The biggest part it takes; its limit for a request's body is 11 MiB. */
export const LOCAL_S3_MAX_PART_BYTES = 10 * 1024 ** 2;

const HOST = '127.0.0.1';

/** The parts of fauxqs that its types do not show. */
interface Fauxqs {
  buildApp: (options: { logger: boolean; stores: { s3Store: S3Store } }) => {
    listen: (options: { host: string; port: number }) => Promise<string>;
    close: () => Promise<void>;
    addHook: (name: 'onRequest', hook: OnRequest) => void;
    server: { address: () => unknown };
  };
  /** Without a folder whose objects another server wrote, it has none. */
  createStore: (folder?: string) => S3Store;
}

type OnRequest = (request: { method: string; url: string }, reply: Reply, next: () => void) => void;

interface Reply {
  type: (contentType: string) => Reply;
  send: (body: string) => void;
}

interface S3Store extends UploadBook {
  persistence: unknown;
  createBucket: (name: string) => void;
  hasBucket: (name: string) => boolean;
}

/**
 * Starts the endpoint on a free loopback port. Without `folder`, the objects go to a temporary one that `stop` removes; with
 * `listsUploads`, it lists unfinished uploads as well.
 */
export async function startS3(options: { folder?: string; listsUploads?: boolean } = {}): Promise<LocalS3> {
  const { buildApp, createStore } = await loadFauxqs();
  const closers = new Closers();
  try {
    const folder = options.folder ?? (await makeFolder(closers));
    const s3Store = createStore(options.folder);
    if (options.folder === undefined) s3Store.persistence = new S3Bodies(folder);
    const app = buildApp({ logger: false, stores: { s3Store } });
    if (options.listsUploads === true)
      app.addHook('onRequest', ({ method, url }, reply, next) => {
        const uploads = answerListUploads(s3Store, method, url);
        if (uploads === undefined) next();
        else reply.type('application/xml').send(uploads);
      });
    closers.add('the S3 endpoint', () => app.close());
    await app.listen({ host: HOST, port: 0 });
    const { port } = app.server.address() as AddressInfo;
    return describe(port, folder, s3Store, () => closers.close());
  } catch (error) {
    await closers.close();
    throw error;
  }
}

function describe(port: number, folder: string, s3Store: S3Store, stop: () => Promise<void>): LocalS3 {
  return {
    endpoint: `http://${HOST}:${port}`,
    host: HOST,
    port,
    region: 'us-east-1',
    accessKeyId: 'local-access-key',
    secretAccessKey: 'local-secret-key',
    folder,
    async createBucket(name) {
      if (!s3Store.hasBucket(name)) s3Store.createBucket(name);
    },
    stop,
  };
}

async function makeFolder(closers: Closers): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'pgsluice-s3-'));
  closers.add('the folder of the S3 endpoint', () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * fauxqs's own starter listens on all interfaces, which is no place for a server that checks no signature; so it is put
 * together here from its parts. Two of them are not exported by name; package.json pins the version.
 */
async function loadFauxqs(): Promise<Fauxqs> {
  const folder = findDemoPackage('fauxqs');
  if (folder === undefined)
    throw new UsageError(`the embedded S3 endpoint needs a package: npm install ${specifierOf('fauxqs')}`);
  const entry = pathToFileURL(entryOf(folder)).href;
  const { buildApp } = (await import(entry)) as Pick<Fauxqs, 'buildApp'>;
  const { S3Store } = (await import(new URL('s3/s3Store.js', entry).href)) as { S3Store: new () => S3Store };
  const { FileS3Persistence } = (await import(new URL('s3/fileS3Persistence.js', entry).href)) as {
    FileS3Persistence: new (folder: string) => { loadS3: (store: S3Store) => void };
  };
  const createStore: Fauxqs['createStore'] = (folder) =>
    folder === undefined ? new S3Store() : openStore(new S3Store(), new FileS3Persistence(folder));
  return { buildApp, createStore };
}

function openStore(store: S3Store, persistence: { loadS3: (store: S3Store) => void }): S3Store {
  // What is there is loaded before the store writes through, or it would write all of it again.
  persistence.loadS3(store);
  store.persistence = persistence;
  return store;
}
