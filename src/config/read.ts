/** Reads a text file whole, within a limit. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** The config file and each file that it takes a value from may have this many bytes. */
export const MAX_FILE_BYTES = 1024 ** 2;

/**
 * The text of a UTF-8 file without its byte order mark. Throws an Error whose message completes "cannot be read: …".
 */
export function readText(file: string): string {
  try {
    const bytes = readWithinLimit(file);
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error(describeReadError(error), { cause: error });
  }
}

class TooLargeError extends Error {}

class NotRegularError extends Error {}

/** What a shell hands over by process substitution, such as /dev/fd/63, and standard input. */
const DESCRIPTOR = /^\/(?:dev\/(?:fd\/\d+|stdin)|proc\/self\/fd\/\d+)$/;

/** A pipe that nobody writes to would hold the whole process up, at a reload all runs as well. */
function openForReading(file: string): number {
  if (DESCRIPTOR.test(file)) return openSync(file, 'r');
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = fstatSync(descriptor);
  if (found.isFile() || found.isDirectory()) return descriptor;
  closeSync(descriptor);
  throw new NotRegularError();
}

/** A size asked for beforehand would be of no use for a descriptor that is a pipe. */
function readWithinLimit(file: string): Buffer {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  const descriptor = openForReading(file);
  try {
    let length = 0;
    for (let bytes = -1; bytes !== 0 && length < buffer.length; length += bytes) {
      bytes = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_BYTES) throw new TooLargeError();
    return buffer.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: 'it does not exist',
  EACCES: 'this user has no permission',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a socket or a device, not a file',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
};

function describeReadError(error: unknown): string {
  if (error instanceof TooLargeError) return 'it is larger than 1 MiB';
  if (error instanceof NotRegularError) return 'it is a pipe or a device, not a file';
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return REASONS[code] ?? code;
}
