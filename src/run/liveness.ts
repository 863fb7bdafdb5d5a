/** How hosts tell a process that is at work from one that is gone, in milliseconds. Tests shorten them. */
export const LIVENESS = {
  /** Whoever holds a lock asks its server for it this often. */
  heartbeatMs: 15_000,
  /** Its server ends the session, and with it the lock, of a holder that has asked for nothing for so long. */
  holderSilenceMs: 60_000,
  /** Whoever owns a run gives a sign of life in its journal when he has written no receipt for so long. */
  signMs: 30_000,
  /** An owner whose lock is of another server, and who gave no sign for so long, is taken for gone. */
  silenceMs: 90_000,
  /** Whoever stands by asks a source this often for the locks that it waits for. */
  lockLookMs: 15_000,
  /** Where the lock is of another server, the journal is looked at this often. */
  journalLookMs: 60_000,
};
