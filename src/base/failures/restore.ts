/** Failures of a restore, beside those that it shares with the source and the destination. */
import type { Declarations } from './declaration.ts';

export const RESTORE_FAILURES = {
  'behind-pooler': {
    transient: false,
    meaning:
      'The database that is restored into is reached through a pooler, on whose connections locks and settings would stay.',
    hint: 'Let the url of this source lead to Postgres itself; --source names another one.',
  },
  'row-exists': {
    transient: false,
    meaning: 'Rows with these keys are in the table already.',
    hint: 'Rows with these keys are in the table already: restore into an empty one, or pass over them with --on-conflict skip.',
  },
  'constraint-violated': {
    transient: false,
    meaning: 'The table has a constraint that the rows of the archive break.',
    hint: 'The table has a constraint that these rows break. Drop it for the restore, or restore into another table (--create).',
  },
  'target-disk-full': {
    transient: false,
    meaning: 'The disk of the server that is restored into is full.',
    hint: 'Free space on the disk of the database server, then restore again; it goes on with what is missing.',
  },
  'rows-dropped': {
    transient: false,
    meaning: 'The table took fewer rows than were sent; nothing of this object was restored.',
    hint: 'A trigger of the table lets rows fall. Disable it for the restore: ALTER TABLE … DISABLE TRIGGER.',
  },
  'rows-missing': {
    transient: false,
    meaning: 'Rows that the restore had brought were not in the table any more at its end.',
    hint: 'Rows were deleted or truncated while they were restored, or a crash emptied an UNLOGGED table. Restore again.',
  },
  'object-damaged': {
    transient: false,
    meaning: 'An object is not what the manifest says; nothing of it was restored.',
    hint: 'Bring the object back from a copy or an older version of it in the bucket, then restore again; it goes on with what is missing.',
  },
  'bad-line': {
    transient: false,
    meaning: 'A line of an object is not what the columns of the manifest say; nothing of it was restored.',
    hint: 'The object was damaged or written by something else; `pgsluice verify` says which. Nothing of it was restored.',
  },
  'line-too-long': {
    transient: false,
    meaning: 'A row is longer than the server takes at once, 1 GB; nothing of its object was restored.',
    hint: 'Bring the other objects back by ranges of the key (--key-from, --key-to); this one can be read as docs/format.md says, and its row be put together in parts.',
  },
  'value-too-wide': {
    transient: false,
    meaning: 'An array or a composite is larger than a worker of this heap takes.',
    hint: 'Raise workers.maxOldGenerationSizeMb.',
  },
} as const satisfies Declarations;
