/** The files of the page: those that stand in the folder when the daemon starts, and no others. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ownFile } from '../../base/own-files.ts';
import { refusal, type Reply } from './reply.ts';

const FOLDER = ownFile('daemon/http/page');

/** The chart library's own files, under the names by which the page asks for them. */
const LIBRARY: Record<string, string> = {
  'uplot.js': 'uplot/dist/uPlot.esm.js',
  'uplot.css': 'uplot/dist/uPlot.min.css',
};

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
};

interface PageFile {
  body: Buffer;
  type: string;
  etag: string;
}

/** Paths of requests, such as `/assets/page.js`, with their files; `/` is index.html. */
export type PageFiles = ReadonlyMap<string, PageFile>;

/** Reads all files into memory; they are small. */
export function loadPageFiles(folder = FOLDER): PageFiles {
  const files = new Map<string, PageFile>();
  for (const name of listFiles(folder)) {
    const file = readPageFile(path.join(folder, name));
    if (file !== undefined) files.set(name === 'index.html' ? '/' : `/assets/${name}`, file);
  }
  for (const [name, module] of files.has('/') ? Object.entries(LIBRARY) : []) {
    const file = readPageFile(createRequire(import.meta.filename).resolve(module));
    if (file !== undefined) files.set(`/assets/${name}`, file);
  }
  return files;
}

/** Undefined when its name does not say what it is. */
function readPageFile(file: string): PageFile | undefined {
  const type = TYPES[path.extname(file)];
  if (type === undefined) return undefined;
  const body = readFileSync(file);
  return { body, type, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
}

/** The file, or that the browser has it already. Undefined when there is none of that path. */
export function replyWithFile(files: PageFiles, request: IncomingMessage, pathname: string): Reply | undefined {
  const file = files.get(pathname);
  if (file === undefined) {
    return pathname === '/' ? refusal(404, 'no-page', 'this build has no page; ask for /api/state') : undefined;
  }
  const headers = { 'Content-Type': file.type, ETag: file.etag, 'Cache-Control': 'no-cache' };
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(file.etag) ? { status: 304, headers, body: '' } : { status: 200, headers, body: file.body };
}

function listFiles(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'));
  } catch {
    return [];
  }
}
