/** The objects of one task on their way back: connect, begin, one object after the other, commit. */
import { Closers } from '../../base/closers.ts';
import { terminateBackend } from '../../postgres/cancel.ts';
import { backendPid, connectPostgres, endConnection, socketOf, type Client } from '../../postgres/connect.ts';
import { openStore } from '../../store/open.ts';
import type { Store } from '../../store/store.ts';
import type { Ends } from '../binding.ts';
import { restoreFailure } from './errors.ts';
import { fillObject, type RestoreHooks } from './object.ts';
import type { ObjectToRestore, RestoredFacts, RestoreTask } from './task.ts';

/**
 * Restores the objects, and resolves to what became of each, in their order. Several share one transaction; where that fails for good,
 * they are tried again one by one, so that those before the bad one are in the table, and that one is named. Throws the first
 * cause; then nothing of that object is in the table.
 */
export async function restoreObjects(task: RestoreTask, ends: Ends, hooks: RestoreHooks): Promise<RestoredFacts[]> {
  if (task.objects.length > 1) {
    try {
      return await restoreTogether(task, task.objects, ends, hooks);
    } catch (error) {
      if (hooks.signal.aborted) throw error;
      if (restoreFailure(error, `restoring into ${task.subject}`).failure.transient) throw error;
    }
  }
  const facts: RestoredFacts[] = [];
  for (const object of task.objects) facts.push(...(await restoreTogether(task, [object], ends, hooks)));
  return facts;
}

/** In one transaction, on a connection of its own. */
async function restoreTogether(
  task: RestoreTask,
  objects: readonly ObjectToRestore[],
  ends: Ends,
  hooks: RestoreHooks,
): Promise<RestoredFacts[]> {
  const { signal } = hooks;
  const closers = new Closers();
  try {
    const client = await connectPostgres(ends.database, 'restore');
    let finished = false;
    closers.add('the connection', () => closeWriter(client, ends, finished));
    hooks.report({ kind: 'backend', pid: backendPid(client) });
    // COPY waits for us without an end, and the driver waits for the server to end it: only a cut ends both.
    const cut = (): void => void socketOf(client)?.destroy();
    signal.addEventListener('abort', cut, { once: true });
    closers.add('the signal', () => {
      signal.removeEventListener('abort', cut);
    });
    signal.throwIfAborted();
    const store = openStore(ends.destination, signal, (trouble) => {
      hooks.report({ kind: 'trouble', trouble });
    });
    closers.add('the destination', () => {
      store.close();
    });
    const facts = await inOneTransaction(task, objects, client, store, hooks);
    finished = true;
    return facts;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw restoreFailure(error, `restoring ${objects[0]?.key ?? ''} into ${task.subject}`);
  } finally {
    await closers.close();
  }
}

async function inOneTransaction(
  { objects: _all, ...task }: RestoreTask,
  objects: readonly ObjectToRestore[],
  client: Client,
  store: Store,
  hooks: RestoreHooks,
): Promise<RestoredFacts[]> {
  const facts: RestoredFacts[] = [];
  const done = { rows: 0, jsonBytes: 0, bytes: 0 };
  await client.query('BEGIN');
  for (const object of objects) {
    const onProgress: RestoreHooks['onProgress'] = ({ rows, jsonBytes, bytes }) => {
      hooks.onProgress({ rows: done.rows + rows, jsonBytes: done.jsonBytes + jsonBytes, bytes: done.bytes + bytes });
    };
    facts.push(await fillObject({ ...task, ...object }, client, store, { ...hooks, onProgress }));
    done.rows += object.expected.rows;
    done.jsonBytes += object.expected.jsonBytes;
    done.bytes += object.expected.bytes;
  }
  hooks.signal.throwIfAborted();
  await client.query('COMMIT');
  return facts;
}

/** After a failure the server may be in the middle of the rows: the connection is cut, and the backend ended. */
async function closeWriter(client: Client, { database }: Ends, finished: boolean): Promise<void> {
  if (!finished) {
    const pid = backendPid(client);
    socketOf(client)?.destroy();
    await terminateBackend(database, pid);
  }
  await endConnection(client);
}
