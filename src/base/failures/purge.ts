/** Failures of a purge: nearly all of them are refusals, said before anything is deleted. */
import type { Declarations } from './declaration.ts';

/** Without `--again`, a window that has a run gets no other one. */
export const AGAIN =
  'Archive it anew (pgsluice run ARCHIVE; a window: pgsluice run ARCHIVE --from … --to … --again), and purge that run.';
const REFUSED = '2: refused, nothing was deleted';

export const PURGE_FAILURES = {
  'purge-incomplete-archive': {
    transient: false,
    meaning: 'The run does not hold whole rows of a table: it is of a query, a view or a foreign table.',
    hint: 'Archive the whole table, without columns, exclude or a query, to purge it.',
    exit: REFUSED,
  },
  'purge-no-key': {
    transient: false,
    meaning: 'The rows of the table cannot be told apart by a key that the server itself keeps unique.',
    hint: 'Add a primary key, or a UNIQUE index on NOT NULL columns of plain types.',
    exit: REFUSED,
  },
  'purge-inherits': {
    transient: false,
    meaning: 'Other tables inherit from this one, so that one line may be that of several rows.',
    hint: 'Archive and purge each of the tables by itself, once none inherits: ALTER TABLE … NO INHERIT ….',
    exit: REFUSED,
  },
  'purge-cascades': {
    transient: false,
    meaning: 'Deleting would delete or change rows of another table, which no archive holds.',
    hint: 'Make the foreign key ON DELETE NO ACTION, or drop it.',
    exit: REFUSED,
  },
  'purge-unindexed-reference': {
    transient: false,
    meaning: 'Each deleted row would make the server read a whole table that refers to it.',
    hint: 'CREATE INDEX CONCURRENTLY on the referring columns.',
    exit: REFUSED,
  },
  'purge-rule': {
    transient: false,
    meaning: 'A rule makes something else of a DELETE.',
    hint: 'DROP RULE …, as a purge does not know what it does.',
    exit: REFUSED,
  },
  'purge-triggers': {
    transient: false,
    meaning: 'Triggers fire on each delete.',
    hint: 'If that is wanted: purge.accept: [triggers]; not for BEFORE … FOR EACH STATEMENT. They run with the settings of pgsluice, such as TimeZone=UTC.',
    exit: REFUSED,
  },
  'purge-published': {
    transient: false,
    meaning: 'A publication sends each delete to its subscribers.',
    hint: 'If that is wanted: purge.accept: [publications]. Else: ALTER PUBLICATION … SET (publish = …) without delete.',
    exit: REFUSED,
  },
  'purge-slots': {
    transient: false,
    meaning: 'A logical replication slot of this database decodes each delete for somebody.',
    hint: 'If that is wanted: purge.accept: [slots].',
    exit: REFUSED,
  },
  'purge-subscribed': {
    transient: false,
    meaning: 'A subscription fills the table, so that its rows are those of another database.',
    hint: 'If that is wanted: purge.accept: [subscriptions].',
    exit: REFUSED,
  },
  'purge-replica-identity': {
    transient: false,
    meaning:
      'The table is published with deletes, and has no replica identity, so that the server refuses each delete.',
    hint: 'ALTER TABLE … REPLICA IDENTITY USING INDEX …, or FULL.',
    exit: REFUSED,
  },
  'purge-row-security': {
    transient: false,
    meaning: 'Row security hides rows of the table, or of one that refers to it, from this role.',
    hint: 'ALTER ROLE … BYPASSRLS, or purge as the owner of the table.',
    exit: REFUSED,
  },
  'purge-columns-changed': {
    transient: false,
    meaning: 'The columns of the table are not those of the run, so that no line would be equal.',
    hint: AGAIN,
    exit: REFUSED,
  },
  'purge-lossy-type': {
    transient: false,
    meaning: 'A line does not tell all of a value of this type, so that two different rows may have the same line.',
    hint: 'Rows of such a table stay: delete them by other means.',
    exit: REFUSED,
  },
  'purge-wrong-source': {
    transient: false,
    meaning: 'The run is of another database, or nobody can know that it is of this one.',
    hint: `Let purge.source be the database of the run, and GRANT EXECUTE ON FUNCTION pg_control_system(). ${AGAIN}`,
    exit: REFUSED,
  },
  'purge-read-only': {
    transient: false,
    meaning: 'Nothing can be deleted there: it is a standby, or its transactions are read-only.',
    hint: 'Let purge.source lead to the primary, with a role that may write.',
    exit: REFUSED,
  },
  'purge-permission': {
    transient: false,
    meaning: 'The role lacks a right that a purge needs.',
    hint: 'GRANT SELECT, DELETE, UPDATE (a column of the key) on the table, and SELECT on those that refer to it.',
    exit: REFUSED,
  },
  'purge-pooler': {
    transient: false,
    meaning: 'The connection goes through a pooler such as PgBouncer.',
    hint: 'Let purge.source lead to Postgres itself.',
    exit: REFUSED,
  },
  'purge-replication-role': {
    transient: false,
    meaning:
      'The role deletes with session_replication_role = replica: foreign keys are not kept, and triggers do not fire as the catalogue says.',
    hint: 'Let it be `origin` for the role, and in the url of purge.source.',
    exit: REFUSED,
  },
  'purge-encoding': {
    transient: false,
    meaning:
      'The encoding of the database has characters in two forms, which are one in UTF-8: a line does not tell them apart.',
    hint: 'Not supported for EUC_JP, EUC_TW, JOHAB and MULE_INTERNAL.',
    exit: REFUSED,
  },
  'purge-too-young': {
    transient: false,
    meaning: 'The latest run was not committed long enough ago.',
    hint: 'Wait, or name the run: a run that is named may be purged at once.',
    exit: REFUSED,
  },
  'purge-window-changed': {
    transient: false,
    meaning: 'The run is of a window that the config does not have: its column or its length was changed since.',
    hint: 'Name the run to purge it: pgsluice purge ARCHIVE RUN --execute.',
  },
  'purge-came-back': {
    transient: false,
    meaning:
      'A further run of a window has more rows than its purge before left, and 1 % of what that deleted: rows have come back, and somebody may need them.',
    hint: 'Where nobody does, purge that run by name: pgsluice purge ARCHIVE RUN --execute.',
  },
  'purge-expired': {
    transient: false,
    meaning: 'The data of the run is gone, as `mayExpireAfter` lets it be: nothing can be proved, and its rows stay.',
    hint: 'Rows that the table still has: pgsluice run ARCHIVE --from … --to … --again; purge that run.',
    exit: REFUSED,
  },
  'purged-run-lost': {
    transient: false,
    meaning:
      'The run was purged, as its `_purge.json` says, and its manifest is gone: rows that were deleted are in no archive. It is never made again, as that would hide it.',
    hint: 'Bring the manifest and the objects back from former versions in the bucket. Rows that the table still has: pgsluice run ARCHIVE --from … --to … --again.',
  },
  'purge-restored': {
    transient: false,
    meaning: 'Rows of the window were restored into the table: somebody wants them there.',
    hint: 'Where nobody does any more: pgsluice purge ARCHIVE RUN --again --execute.',
    exit: REFUSED,
  },
  'purge-changed': {
    transient: false,
    meaning: 'Rows of a run were changed since they were archived: they stay.',
    hint: 'Nothing is to be done: of an archive of windows, the daemon archives them as a further run of the window. Else the next run does.',
  },
  'purge-done': {
    transient: false,
    meaning: 'The run was purged before, and a run is purged once: rows that came back since stay.',
    hint: `Archive it anew (pgsluice run ARCHIVE), and purge that run. Or, where nobody wants what came back: pgsluice purge ARCHIVE RUN --again --execute.`,
    exit: REFUSED,
  },
  'purge-table-changed': {
    transient: false,
    meaning:
      'The table, or what a DELETE sets off on it, was changed while rows were being deleted: the batch was rolled back.',
    hint: 'Give the same command again: it looks at everything anew, and goes on from there.',
  },
  'partition-changed': {
    transient: false,
    meaning: 'The rows of the partition are not those of the run: rows were changed, deleted, or came later.',
    hint: 'It stays attached, with all of its rows. Of an archive of windows, the daemon archives it anew, and purges that run in turn; by hand: pgsluice run ARCHIVE --from … --to … --again.',
    exit: REFUSED,
  },
  'partition-inexact': {
    transient: false,
    meaning:
      'Rows of the partition hold what a line does not tell, such as JSON null where NULL prints alike: it cannot go whole.',
    hint: 'It stays attached, with all of its rows. Change these rows and archive the partition anew, or remove it by other means.',
    exit: REFUSED,
  },
  'partition-referenced': {
    transient: false,
    meaning: 'Rows of other tables refer to rows of the partition, so that Postgres does not let it go.',
    hint: 'Remove the rows that refer to it first.',
    exit: REFUSED,
  },
  'partition-depended-on': {
    transient: false,
    meaning: 'Something depends on the partition itself, such as a view: it could be detached, but not dropped.',
    hint: 'Let it depend on the partitioned table, or drop it.',
    exit: REFUSED,
  },
  'partition-blocked': {
    transient: true,
    meaning:
      'Transactions that have been open for more than 10 s, prepared ones, or runs of this table have locks on the partition or on its table: it would have to wait for them.',
    hint: 'End the transaction that is named, or let it end. The daemon tries again a minute later; by hand, give the same command again.',
    exit: '2: refused, nothing was changed. 1: it came in between, and what the message says of the partition holds until the next purge',
  },
  'partition-pending': {
    transient: false,
    meaning:
      'A partition of the table is half detached, and not by this purge. Until that is finished, no other one can be detached.',
    hint: 'Finish it: ALTER TABLE … DETACH PARTITION … FINALIZE. Where pgsluice has begun it, purge that run again.',
    exit: REFUSED,
  },
  'purge-archive-damaged': {
    transient: false,
    meaning: 'The objects of the run are not what its manifest says; from then on nothing was deleted.',
    hint: `See what \`pgsluice verify\` says of the objects. ${AGAIN}`,
    exit: '3',
  },
  'purge-taken': {
    transient: false,
    meaning: 'Somebody else has written the record of this purge meanwhile.',
    hint: 'Let one purge of a run end before another is begun.',
  },
  'bad-purge-record': {
    transient: false,
    meaning: '`_purge.json` of a run is not what a purge writes.',
    hint: 'Bring it back from an older version of it in the bucket; nothing is deleted while it cannot be read.',
  },
} as const satisfies Declarations;
