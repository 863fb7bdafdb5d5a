/**
 * A bundle in CommonJS, run with the code that V8 compiled for an earlier process. Node's own cache holds what is compiled as
 * a file is loaded; most functions are compiled when they are first called. Here the code is kept once the work is done.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import v8 from 'node:v8';
import vm from 'node:vm';
import { threadId } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import { makeCacheFolder } from './cache-folder.ts';

/** What the build puts around the source of a script: `.ci/bundle.mjs`. */
type Wrapper = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  dirname: string,
) => void;

export interface Script<T> {
  exports: T;
  /** Keeps what has been compiled by now, for later processes, unless this one had it from there. It does not throw. */
  keepCode: () => void;
}

/** Code of a version that has not been started for so long is removed. */
const KEPT_MS = 30 * 24 * 3600_000;
/** Before the code: the CRC-32 of it, and that of the source; both little-endian. */
const HEADER_BYTES = 8;

/**
 * Runs the script in `file`. `use` says what the process is there for, in letters and hyphens: each use has its own code,
 * as it needs other functions. Throws what the script throws.
 */
export function runScript<T extends object>(file: string, use: string, environment: NodeJS.ProcessEnv): Script<T> {
  // Each character is a byte, as the bundles are ASCII; V8 takes them as they are.
  const source = readFileSync(file, 'latin1');
  const store = CodeStore.open(file, use, environment);
  const code = store?.read(source);
  const script = new vm.Script(source, { filename: file, ...(code === undefined ? {} : { cachedData: code }) });
  const isKept = code !== undefined && script.cachedDataRejected === false;
  // V8 has read it, and it is as large as the source: it is not to wait for a collection.
  code?.buffer.transfer(0);
  const module = { exports: {} };
  const wrapper = script.runInThisContext() as Wrapper;
  wrapper(module.exports, createRequire(file), module, file, path.dirname(file));
  return {
    exports: module.exports as T,
    keepCode: () => {
      if (isKept) return;
      try {
        store?.write(source, script.createCachedData());
      } catch {
        // A start takes a little longer.
      }
    },
  };
}

/** Where the code of one script is kept for one use. */
class CodeStore {
  /** It stands for the version of V8, its flags, and what the processor can do. */
  readonly #tag = v8.cachedDataVersionTag();
  readonly #folder: string;
  readonly #family: string;
  readonly #file: string;

  private constructor(folder: string, family: string) {
    this.#folder = folder;
    this.#family = family;
    this.#file = path.join(folder, `${family}${this.#tag.toString(16)}`);
  }

  /** Undefined where nothing can be kept. */
  static open(file: string, use: string, environment: NodeJS.ProcessEnv): CodeStore | undefined {
    const user = process.geteuid?.();
    if (user === undefined || environment['NODE_DISABLE_COMPILE_CACHE'] !== undefined) return undefined;
    const folder = makeCacheFolder(environment, user);
    return folder === undefined ? undefined : new CodeStore(folder, `${path.parse(file).name}.${use}.`);
  }

  /** Undefined unless it was written whole, and from just this source. */
  read(source: string): Buffer<ArrayBuffer> | undefined {
    try {
      const kept = readOwn(this.#file);
      const code = kept.subarray(HEADER_BYTES);
      const isWhole = kept.readUInt32LE(0) === crc32(code) && kept.readUInt32LE(4) === crc32(source);
      return isWhole ? code : undefined;
    } catch {
      return undefined;
    }
  }

  /** Other processes and threads may write it too. Under other flags than at the start, it would never be taken. Throws where it cannot. */
  write(source: string, code: Buffer): void {
    if (v8.cachedDataVersionTag() !== this.#tag) return;
    const unfinished = `${this.#file}.${process.pid}.${threadId}`;
    try {
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32LE(crc32(code), 0);
      header.writeUInt32LE(crc32(source), 4);
      writeFileSync(unfinished, Buffer.concat([header, code]), { mode: 0o600, flag: 'wx' });
      renameSync(unfinished, this.#file);
    } finally {
      rmSync(unfinished, { force: true });
    }
    this.#removeOld();
  }

  /** And what was left unfinished. A process that is still at it gives up, as the code is there. */
  #removeOld(): void {
    const unfinished = `${path.basename(this.#file)}.`;
    for (const name of readdirSync(this.#folder).filter((found) => found.startsWith(this.#family))) {
      const file = path.join(this.#folder, name);
      if (name.startsWith(unfinished) || Date.now() - statSync(file).mtimeMs > KEPT_MS) rmSync(file, { force: true });
    }
  }
}

/** The whole file, in memory that is nobody else's. */
function readOwn(file: string): Buffer<ArrayBuffer> {
  const descriptor = openSync(file, 'r');
  try {
    const content = Buffer.allocUnsafeSlow(fstatSync(descriptor).size);
    return content.subarray(0, readSync(descriptor, content));
  } finally {
    closeSync(descriptor);
  }
}
