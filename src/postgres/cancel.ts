/** Stops a query on the server, so that a run that failed does not go on costing the source. */
import { connectPostgres, endConnection, type ConnectionTarget } from './connect.ts';

/**
 * Cancels what the backend `pid` is doing and ends that backend, from a connection of its own. Best effort: the
 * connection itself is cut as well, and a backend notices that at its next write.
 */
export async function terminateBackend(target: ConnectionTarget, pid: number): Promise<void> {
  try {
    const client = await connectPostgres({ ...target, applicationName: 'pgsluice cancel' });
    try {
      await client.query(
        `SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
         WHERE a.pid OPERATOR(pg_catalog.=) $1 AND a.application_name OPERATOR(pg_catalog.=) $2`,
        [pid, target.applicationName.slice(0, 63)],
      );
    } finally {
      await endConnection(client);
    }
  } catch {
    // The server is down or the backend is gone: there is nothing left to cancel.
  }
}
