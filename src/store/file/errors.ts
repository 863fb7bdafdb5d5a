/** Classifies what the file system throws: what it is, whether a retry may help, what to do. */
import { errorText, FailureError } from '../../base/errors.ts';
import type { FailureCode } from '../../base/failures.ts';

interface Meaning {
  code: FailureCode;
  transient: boolean;
  hint: string;
}

const DENIED: Meaning = {
  code: 'access-denied',
  transient: false,
  hint: 'Let the user that runs pgsluice read and write this folder (chown, chmod; under systemd: ReadWritePaths).',
};
const FULL: Meaning = {
  code: 'disk-full',
  transient: false,
  hint: 'Free space or raise the quota on this file system; an unfinished run goes on from its finished segments.',
};
const NO_FOLDER: Meaning = {
  code: 'folder-missing',
  transient: false,
  hint: 'Check that the folder of the destination exists, is a folder, and that its file system is mounted.',
};
const TROUBLE: Meaning = {
  code: 'disk-error',
  transient: true,
  hint: "Look at the kernel's log and at the health of the disk or of the network file system.",
};

const MEANINGS: Record<string, Meaning> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EACCES: DENIED,
  EPERM: DENIED,
  EROFS: {
    code: 'read-only',
    transient: false,
    hint: 'The file system is mounted read-only (under systemd: ReadWritePaths). Mount it read-write, or choose another folder.',
  },
  ENOENT: NO_FOLDER,
  ENOTDIR: NO_FOLDER,
  EISDIR: { code: 'key-refused', transient: false, hint: 'A folder stands where the object should be: move it away.' },
  ELOOP: {
    code: 'symlink-refused',
    transient: false,
    hint: 'Symbolic links below the folder of the destination are not followed: replace the link by a real folder or file.',
  },
  ENAMETOOLONG: { code: 'key-refused', transient: false, hint: 'Choose a shorter archive name or folder.' },
  EFBIG: {
    code: 'object-too-large',
    transient: false,
    hint: 'Lower segments.targetSize: this file system limits the size of a file.',
  },
  ENOTSUP: {
    code: 'links-unsupported',
    transient: false,
    hint: 'The file system must have hard links, by which a manifest is created only once. Choose another file system.',
  },
  EIO: TROUBLE,
  ESTALE: TROUBLE,
  ETIMEDOUT: TROUBLE,
  EMFILE: {
    code: 'too-many-open-files',
    transient: true,
    hint: 'Raise the limit of open files (under systemd: LimitNOFILE).',
  },
  ENFILE: {
    code: 'too-many-open-files',
    transient: true,
    hint: 'Raise fs.file-max, or find what holds the files open.',
  },
};

/** The failure that `error` stands for; `doing` says what was tried, such as `writing /srv/archive/a`. */
export function toFileFailure(error: unknown, doing: string): FailureError {
  if (error instanceof FailureError) return error;
  const code = errorCode(error);
  const meaning = MEANINGS[code] ?? {
    code: 'file-internal',
    transient: false,
    hint: 'This is a defect in pgsluice. Please report it, with the log lines around it.',
  };
  const text = errorText(error);
  return new FailureError(
    { ...meaning, stage: 'upload', message: `${doing} failed: ${text}`, cause: text },
    { cause: error },
  );
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
