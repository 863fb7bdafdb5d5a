/** Parses the addresses that options name: a destination's URL, an S3 endpoint, a Postgres URL and a listen address. */
import { fileURLToPath } from 'node:url';

/** Where a destination's objects go. `prefix` is empty or ends in `/`; `folder` is absolute. */
export type Location =
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string }
  | { readonly kind: 'file'; readonly folder: string };

/** S3 limits a key to 1,024 bytes; what the archive, the run and the object add to the prefix stays under 300. */
const MAX_PREFIX_BYTES = 700;

/** The location that a destination's URL names, or what is wrong with it, without echoing it. */
export function parseLocation(url: string): Location | { readonly problem: string } {
  if (/^s3:/i.test(url)) return parseS3(url);
  if (/^file:/i.test(url)) return parseFolder(url);
  return { problem: 'must be s3://bucket/prefix or file:///absolute/folder' };
}

function parseS3(url: string): Location | { readonly problem: string } {
  const match = /^s3:\/\/([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])(?:\/(.*))?$/s.exec(url);
  const bucket = match?.[1] ?? '';
  if (match === null)
    return { problem: 'must be s3://bucket/prefix, with a bucket name of 3 to 63 letters, digits, - and .' };
  if (bucket.includes('..')) return { problem: 'must have a bucket name without two dots in a row' };
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(bucket)) return { problem: 'must have a bucket name that is no IP address' };
  const parts = (match[2] ?? '').replace(/^\/+|\/+$/g, '').split('/');
  const prefix = parts.join('/');
  if (prefix === '') return { kind: 's3', bucket, prefix };
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    return { problem: 'must have a prefix without empty, "." or ".." parts' };
  }
  if (/[\u0000-\u001f\u007f]/.test(prefix)) return { problem: 'must have a prefix without control characters' };
  if (Buffer.byteLength(prefix) > MAX_PREFIX_BYTES) {
    return { problem: `must have a prefix of at most ${MAX_PREFIX_BYTES} bytes, as S3 limits the length of a key` };
  }
  return { kind: 's3', bucket, prefix: `${prefix}/` };
}

function parseFolder(url: string): Location | { readonly problem: string } {
  const problem = 'must be file:///absolute/folder, with three slashes, and with %23 and %3F for # and ?';
  if (!/^file:\/\/\/[^?#]*$/i.test(url)) return { problem };
  try {
    const folder = fileURLToPath(url);
    return { kind: 'file', folder: folder.length > 1 ? folder.replace(/\/+$/, '') : folder };
  } catch {
    return { problem };
  }
}

/** What is wrong with the URL of an S3-compatible server; undefined when it is right. */
export function describeEndpointProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return 'must be an http:// or https:// URL';
  if (url.username !== '' || url.password !== '')
    return 'must not contain credentials; use accessKeyId and secretAccessKey';
  return url.search === '' && url.hash === '' ? undefined : 'must not contain a query or a fragment';
}

/** What is wrong with a URL that is to be called; undefined when it is right. */
export function describeWebUrlProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return 'must be an http:// or https:// URL';
  if (url.username !== '' || url.password !== '') return 'must not contain credentials; fetch refuses such URLs';
  return url.hash === '' ? undefined : 'must not contain a fragment';
}

/** What is wrong with the name of a host, without a port; undefined when it is right. */
export function describeHostProblem(text: string): string | undefined {
  const isName = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9a-f:.]+\])$/i.test(text);
  return isName ? undefined : 'must be the name or address of a host, without a port, such as archive.example.com';
}

/** The host and port of `host:port` or `[::1]:port`; undefined when it is neither. */
export function parseListen(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65535 ? undefined : { host, port };
}
