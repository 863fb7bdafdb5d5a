/** Classifies what the file system throws: what it is, whether a retry may help, what to do. */
import { errorText, fail, FailureError, type FailureKind } from '../../base/errors.ts';

const DENIED: FailureKind = {
  code: 'access-denied',
  hint: 'Let the user that runs pgsluice read and write this folder (chown, chmod; under systemd: ReadWritePaths).',
};

const KINDS: Readonly<Record<string, FailureKind>> = {
  ENOSPC: { code: 'disk-full' },
  EDQUOT: { code: 'disk-full' },
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: {
    code: 'read-only',
    hint: 'The file system is mounted read-only (under systemd: ReadWritePaths). Mount it read-write, or choose another folder.',
  },
  ENOENT: { code: 'folder-missing' },
  ENOTDIR: { code: 'folder-missing' },
  EISDIR: { code: 'key-refused', hint: 'A folder stands where the object should be: move it away.' },
  // A socket, or a device without a driver.
  ENXIO: { code: 'key-refused', hint: 'A FIFO, a device or a socket stands where the object should be: remove it.' },
  ELOOP: { code: 'symlink-refused' },
  ENAMETOOLONG: { code: 'key-refused', hint: 'Choose a shorter archive name or folder.' },
  EFBIG: {
    code: 'object-too-large',
    hint: 'Lower segments.targetSize: this file system limits the size of a file.',
  },
  ENOTSUP: { code: 'links-unsupported' },
  EIO: { code: 'disk-error' },
  ESTALE: { code: 'disk-error' },
  ETIMEDOUT: { code: 'disk-error' },
  EMFILE: { code: 'too-many-open-files' },
  ENFILE: { code: 'too-many-open-files', hint: 'Raise fs.file-max, or find what holds the files open.' },
};

/** The failure that `error` stands for; `doing` says what was tried, such as `writing /srv/archive/a`. */
export function toFileFailure(error: unknown, doing: string): FailureError {
  if (error instanceof FailureError) return error;
  const kind = KINDS[errorCode(error)] ?? { code: 'file-internal' };
  const text = errorText(error);
  return fail(kind, { stage: 'upload', message: `${doing} failed: ${text}`, cause: text }, { cause: error });
}

/** What the work gives; undefined when it finds nothing at a path. */
export async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The system's name for the error, such as ENOENT; empty when it is not from the system. */
export function errorCode(error: unknown): string {
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown };
  return typeof code === 'string' ? code : '';
}
