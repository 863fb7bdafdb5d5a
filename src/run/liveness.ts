/** How hosts tell a process that is at work from one that is gone, in milliseconds. Tests shorten them. */
export const LIVENESS = {
  /** Whoever holds a lock asks its server for it this often. */
  heartbeatMs: 15_000,
  /** Its server ends the session, and with it the lock, of a holder that has asked for nothing for so long. */
  holderSilenceMs: 60_000,
};
