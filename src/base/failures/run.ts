/** Failures of a run as such: how it was begun, held together, ended and committed. */
import { DEFECT, type Declarations } from './declaration.ts';

export const RUN_FAILURES = {
  internal: {
    transient: false,
    meaning: 'Something was thrown that no part of pgsluice expects.',
    hint: DEFECT,
  },
  interrupted: {
    transient: false,
    meaning: 'A signal ended a command in the foreground.',
    hint: 'Run it again with the same --run-id to go on with this run.',
    exit: '130',
  },
  cancelled: {
    transient: false,
    meaning: 'Somebody cancelled the run, by `pgsluice cancel` or on the page.',
    hint: 'Start it again with `pgsluice trigger ARCHIVE --run-id ID`; it goes on with the segments that are missing.',
  },
  stopped: {
    transient: false,
    meaning: 'The daemon was stopped before the run was done, and its drainTimeout was over.',
    hint: 'It is taken up again by the next start, or with `pgsluice run --run-id`.',
    retried: 'by the next start of the daemon',
  },
  drained: {
    transient: false,
    meaning: 'The daemon was stopped; the segments in progress were finished, and others are still to do.',
    hint: 'It goes on from its receipts with the next start of the daemon, or with `pgsluice run --run-id`.',
    retried: 'by the next start of the daemon',
  },
  'host-lost': {
    transient: true,
    meaning:
      'A host that worked on a segment was not heard of any more, or could not reach the queue, the source or the destination.',
    hint: 'Look whether it is up, and whether it reaches the queue of hosts.url. Others do its segments.',
    retried: 'yes, three times without counting',
  },
  'host-differs': {
    transient: true,
    meaning: 'A host does not have what a segment names, or has something else under that name.',
    hint: 'Give all hosts the same sources and destinations, and the same version of pgsluice.',
    retried: 'yes, without counting, as another host may have it',
  },
  'bad-job': {
    transient: false,
    meaning: 'What came out of the queue is not what pgsluice puts there, or a segment is too large for it.',
    hint: 'Look who else writes to the schema of hosts. Bounds of the key that are very long cannot go by the queue: set segments.on to here.',
  },
  'queue-unavailable': {
    transient: true,
    meaning: 'The queue of hosts.url does not answer, or cannot be set up.',
    hint: 'Check that its server is up, and that the role may create a schema in that database.',
  },
  'queue-missing': {
    transient: false,
    meaning: 'The config has hosts, and the package pg-boss, which is optional, is not installed.',
    hint: 'Install pgsluice without --omit=optional, or the package pg-boss beside it.',
  },
  aborted: {
    transient: 'depends',
    meaning: 'Work was dropped on purpose, because its run had ended or was stopped.',
    hint: 'Run it again; it goes on from what is done.',
    retried: 'a request to the destination, when its run still goes on',
  },
  'no-window': {
    transient: false,
    meaning: 'The archive is one of windows, and none of them begins at the time of the run id.',
    hint: 'Run ids of a windowed archive are the starts of its windows; `pgsluice plan` lists those that are missing.',
    exit: '1, and 2 for `plan`',
  },
  'window-open': {
    transient: false,
    meaning:
      'The window that the run id names is not over, so that rows may still come into it: it would be archived without them, and a window is archived once.',
    hint: 'Name it once it is over; or name none: a slot, and `pgsluice run ARCHIVE`, make each window when it is old enough.',
    exit: '1',
  },
  'window-column': {
    transient: false,
    meaning: 'The column of the windows is not there, or of a type that has none.',
    hint: 'Name in window.column a column of type date, timestamp or timestamptz; of a query, one that it gives.',
    exit: '1, and 2 for `plan`',
  },
  'window-partition': {
    transient: false,
    meaning: 'The partitions of the table cannot be windows: it is not partitioned by range over that column alone.',
    hint: 'Set window.every to day, or to another length: then windows do not follow the partitions.',
    exit: '1, and 2 for `plan`',
  },
  'window-mixed': {
    transient: false,
    meaning: 'A committed run of the archive overlaps a window that is wanted, with other bounds or without any.',
    hint: 'Give the archive another name, or set window.from to where that run ends.',
    exit: '1, and 2 for `plan`',
  },
  'window-count': {
    transient: false,
    meaning: 'So many windows are to be made that it may be a mistake.',
    hint: 'Set window.from to where the archive is to begin, or a longer window.every.',
    exit: '1, and 2 for `plan`',
  },
  locked: {
    transient: false,
    meaning: 'Another process runs this archive, or restores into this table.',
    hint: 'Wait until it has ended. If no such process lives any more, end its backend with pg_terminate_backend.',
    retried: 'no; the daemon skips this run, as the other process reports how it ends',
  },
  'session-lost': {
    transient: true,
    meaning: 'The connection that held the lock and the snapshot broke.',
    hint: 'The run goes on under a new snapshot. If it repeats, look at the server log, and at time-outs of proxies between; on a standby, see hot_standby_feedback and max_standby_streaming_delay.',
    retried: 'yes, under a new snapshot; a restore goes on when the same command is given again',
  },
  'snapshot-lost': {
    transient: false,
    meaning: 'The server no longer has the snapshot that the segments of the run read.',
    hint: 'The run is resumed or planned again. If it repeats, look at the server log for what ends its connections.',
    retried: 'yes, under a new snapshot',
  },
  'relation-rewritten': {
    transient: true,
    meaning: 'A table was truncated, rewritten or given other partitions after the snapshot was taken.',
    hint: 'The run goes on under a new snapshot. If it repeats, look for jobs that TRUNCATE, CLUSTER or ALTER the table, or attach partitions.',
    retried: 'yes, under a new snapshot',
  },
  'worker-out-of-memory': {
    transient: false,
    meaning: 'A worker thread ran out of its heap; the daemon and the other segments go on.',
    hint: 'Raise workers.maxOldGenerationSizeMb, or leave wide columns out with exclude or where.',
  },
  'worker-died': {
    transient: true,
    meaning: 'A worker thread ended in the middle of a segment.',
    hint: 'The segment is tried again. If this comes back, look at the memory of the machine.',
  },
  'engine-missing': {
    transient: false,
    meaning: 'The config asks for ISA-L by compression.engine, and its library cannot be loaded.',
    hint: 'Install libisal2, or set compression.engine to auto or zlib.',
    exit: '2, as the config is at fault',
  },
  'already-committed': {
    transient: false,
    meaning: 'Somebody else committed this run while it was in progress here.',
    hint: 'Nothing is lost. If it repeats, two configs write to the same place: give each its own prefix.',
    retried: 'no; when its manifest can be read, the run ends well',
  },
  'other-table': {
    transient: false,
    meaning: 'The run is committed already, and is one of another table.',
    hint: 'Nothing is changed. Take another run id; and for another table another name of the archive, or another destination, as its runs would lie among these.',
  },
  'taken-over': {
    transient: false,
    meaning: 'Somebody else took this run up while it was in progress here, and goes on with it.',
    hint: 'Nothing is lost. If both are alive, two configs with different source servers write to the same place: give each its own prefix.',
  },
  'cancelled-elsewhere': {
    transient: false,
    meaning: 'Somebody cancelled the run on another host, and it is not begun again by itself.',
    hint: 'To go on with it: `pgsluice trigger ARCHIVE --run-id ID`.',
    retried: 'no; the daemon skips this run',
  },
  'failed-elsewhere': {
    transient: false,
    meaning: 'The run that this host stood by for has failed on another one, and is left to it.',
    hint: 'Look there. The next slot is begun by whichever host is first.',
    retried: 'by the host that ran it, and by the next slot',
  },
  'segment-missing': {
    transient: false,
    meaning: 'The receipts do not match the plan one to one, so the run was not committed.',
    hint: DEFECT,
  },
  'source-mismatch': {
    transient: false,
    meaning: 'With --verify-source: what was archived is not what the server says it has; the run was not committed.',
    hint: 'If the query or the filter uses now(), random() or the like, each reading gives other rows: use :slot. Else this is a defect in pgsluice; please report it.',
  },
  untrusted: {
    transient: false,
    meaning: 'A document in the bucket is not signed by a key that the destination trusts; nothing of it is believed.',
    hint: 'Add the public key to signing.trust of the destination if it is one of yours; else somebody has changed the archive: look at the object.',
    exit: '3 in `pgsluice verify`',
  },
  'bad-manifest': {
    transient: false,
    meaning: 'The manifest of a run cannot be read.',
    hint: 'The object was damaged, or not written by pgsluice: look at it.',
    exit: '3 in `pgsluice verify`',
  },
  misplaced: {
    transient: false,
    meaning: 'The manifest in a run folder is that of another archive or run: the folder was renamed or copied.',
    hint: 'Move the folder back to where its manifest says that it belongs, or remove the copy.',
    exit: '3 in `pgsluice verify`',
  },
  'manifest-differs': {
    transient: false,
    meaning: 'The manifest was written, and is another one when it is read back; the journal is kept.',
    hint: 'This destination does not keep what it is given, or somebody else writes there: look at the object.',
  },
  'bad-journal': {
    transient: false,
    meaning: 'The journal of an unfinished run cannot be believed; nothing of it is removed.',
    hint: 'Look at the object. To begin the run anew, remove the folder _pgsluice/ that it lies in.',
  },
  'manifest-lost': {
    transient: false,
    meaning:
      'The manifest of a run is gone, and its data objects or its proof are still there: it was committed once, and is no archive any more.',
    hint: 'Bring the manifest back from a former version in the bucket. Where a lifecycle rule has removed it, limit the rule to data by its tags. Where no version is left, and the source still has the rows of the window: pgsluice run ARCHIVE --from … --to … --again.',
  },
  'bad-head': {
    transient: false,
    meaning: 'The head of the chain of an archive, _head.json, cannot be believed; the run is not committed.',
    hint: 'Look who has written it, and put the version back that was there before it: the one that names the latest manifest. Without one, remove it: the next run begins a new chain, and `pgsluice verify ARCHIVE --chain` finds all runs before outside of it, for good (exit 3). An archive of another name begins one without that.',
  },
  'bad-proof': {
    transient: false,
    meaning: '`_verified.json` of a run is not what a proof writes: the run counts as never proved.',
    hint: 'Look who has written it. The next proof of the run replaces it.',
  },
  'archive-different': {
    transient: false,
    meaning:
      'Standing verification has found that a run is not any more what its manifest says. Nothing of the archive is purged until it is proved good again.',
    hint: 'See all of it with `pgsluice verify ARCHIVE RUN`. Put the objects back from a version or a copy, or archive the rows anew; the run is proved again at each slot of audits.verify.',
  },
  'bad-rehearsals': {
    transient: false,
    meaning:
      '`_rehearsals.json` of an archive is not what a rehearsal writes: none of its runs is rehearsed, as nobody knows which scratch tables are ours.',
    hint: 'Look who has written it. Put an earlier version of it back, or remove it: then all runs count as never rehearsed.',
  },
  'rehearsal-different': {
    transient: false,
    meaning:
      'A run was restored by way of trial, and did not come back as it was archived. Nothing of the archive is purged until it does.',
    hint: 'See what `pgsluice verify ARCHIVE RUN` says of its objects, and restore it by hand into a table of your own. The run comes again soon at the slots of audits.rehearse.',
  },
  'rehearsals-unread': {
    transient: true,
    meaning:
      'The daemon has just started, and has not read yet which restores came back; nothing of the archive is purged before.',
    hint: 'Nothing is to be done.',
  },
  'rehearsal-refused': {
    transient: false,
    meaning: 'No restore is rehearsed, as something stands against the database that audits.rehearse names.',
    hint: 'The message says what stands against that database, and what helps; `pgsluice status` shows it.',
  },
  'rehearsal-leftover': {
    transient: false,
    meaning: 'The scratch table of an earlier rehearsal cannot be dropped; until it is, none is made.',
    hint: 'Drop what depends on the table, or the table itself, by hand.',
  },
  'newer-journal': {
    transient: false,
    meaning: 'A journal or a manifest has a format that this version does not know; nothing of it is removed.',
    hint: 'Upgrade pgsluice on this host, or let the version that wrote it go on with the run.',
    exit: '3 in `pgsluice verify`',
  },
} as const satisfies Declarations;
