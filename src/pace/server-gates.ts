/** What the server itself says of whether work may begin: how far its replicas are behind, and what `pauseWhile` answers. */
import { errorText } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { formatDuration } from '../base/units.ts';
import type { ArchiveConfig } from '../config/schema.ts';
import type { Client } from '../postgres/connect.ts';
import { sqlStateOf } from '../postgres/errors.ts';
import { askOneValue, meansWait, NoAnswer } from '../postgres/one-value.ts';
import { inspectReplication } from '../postgres/replicas.ts';
import type { PaceClock } from './clock.ts';
import type { Gate } from './pace.ts';
import type { Hold } from './pauses.ts';
import { ReplicaLag, type Lag } from './replica-lag.ts';
import type { SourceWatch } from './source-watch.ts';

/** An answer is believed for so long: segments that begin at the same time ask once. */
const FRESH_MS = 400;
/** What is not known yet is asked for again. */
const LOOK_SOON_MS = 500;
/** Replicas are looked at so often while work goes on, so that it is known since when they are behind. */
const LOOK_EVERY_MS = 5000;

const MONITOR_HINT = 'Grant the role pg_monitor: GRANT pg_monitor TO …; or name the replica in pace.ignoreReplicas.';
const SLOT_HINT =
  'Bring the replica back; or drop the slot with pg_drop_replication_slot(), or name it in pace.ignoreReplicas.';
const QUERY_HINT =
  'Work waits until it can be asked again. Try the query as that role: it must give one value within 1 s.';

export interface ServerGateParts {
  pace: NonNullable<ArchiveConfig['pace']>;
  watch: SourceWatch;
  log: Log;
  clock: PaceClock;
}

/** Those that the config asks for. */
export function serverGates(parts: ServerGateParts): Gate[] {
  const { maxLagMs, pauseWhile } = parts.pace;
  return [
    ...(pauseWhile === undefined ? [] : [pauseWhileGate(pauseWhile, parts)]),
    ...(maxLagMs === undefined ? [] : [lagGate(maxLagMs, parts)]),
  ];
}

function pauseWhileGate(query: string, { watch, clock }: ServerGateParts): Gate {
  const look = async (client: Client): Promise<Hold | undefined> => {
    try {
      const value = await askOneValue(client, query);
      if (!meansWait(value)) return undefined;
      return { reason: 'pause-while', message: `pauseWhile gives ${String(value)}` };
    } catch (error) {
      // A connection that broke is opened again.
      if (sqlStateOf(error) === '' && !(error instanceof NoAnswer)) throw error;
      return { reason: 'pause-while', message: `pauseWhile cannot be asked: ${errorText(error)}`, hint: QUERY_HINT };
    }
  };
  return { look: sharedLook((signal) => watch.ask(look, signal), clock) };
}

function lagGate(maxLagMs: number, { pace, watch, log, clock }: ServerGateParts): Gate {
  const lag = new ReplicaLag(pace.ignoreReplicas);
  let isTold = false;
  const judge = (found: Lag): Hold | undefined => {
    const hold = describeLag(found, maxLagMs, clock.now());
    if (found.kind !== 'none' || hold !== undefined || isTold) return hold;
    isTold = true;
    log.warn('the source has no streaming replica that could be behind: pace.maxLag holds nothing back');
    return undefined;
  };
  const lookAtReplicas = async (client: Client): Promise<Hold | undefined> => {
    try {
      return judge(lag.judge(await inspectReplication(client), clock.elapsed()));
    } catch (error) {
      if (sqlStateOf(error) === '') throw error;
      return { reason: 'lag', message: `the replicas cannot be looked at: ${errorText(error)}`, hint: MONITOR_HINT };
    }
  };
  const ask = (signal: AbortSignal): Promise<Hold | undefined> => watch.ask(lookAtReplicas, signal);
  const look = sharedLook(ask, clock);
  const closed = new AbortController();
  let watching: Promise<void> | undefined;
  const keepLooking = async (): Promise<void> => {
    for (;;) {
      await clock.sleep(LOOK_EVERY_MS, closed.signal);
      if (closed.signal.aborted) return;
      // Whoever waits for his turn is told why it failed.
      await look(closed.signal).catch(() => undefined);
    }
  };
  return {
    look: (signal) => {
      watching ??= keepLooking();
      return look(signal);
    },
    close: async () => {
      closed.abort(new Error('the work is over'));
      await watching;
    },
  };
}

function describeLag(lag: Lag, maxLagMs: number, now: number): Hold | undefined {
  switch (lag.kind) {
    case 'unknown': {
      if (lag.atLeastMs > maxLagMs)
        return describeLag({ kind: 'known', ms: lag.atLeastMs, who: lag.who }, maxLagMs, now);
      const message = `${lag.who} is behind, and since when is not known yet`;
      return { reason: 'lag', message, untilMs: now + LOOK_SOON_MS };
    }
    case 'known':
      if (lag.ms <= maxLagMs) return undefined;
      return {
        reason: 'lag',
        message: `${lag.who} is ${formatDuration(lag.ms)} behind, more than ${formatDuration(maxLagMs)}`,
      };
    case 'hidden':
      return { reason: 'lag', message: `how far ${lag.who} is behind cannot be seen`, hint: MONITOR_HINT };
    case 'none': {
      const [slot] = lag.inactiveSlots;
      if (slot === undefined) return undefined;
      return { reason: 'lag', message: `no replica streams, and the slot ${slot} waits for one`, hint: SLOT_HINT };
    }
  }
}

/** Those who ask at the same time, or right after, get one answer. */
function sharedLook(
  ask: (signal: AbortSignal) => Promise<Hold | undefined>,
  clock: PaceClock,
): (signal: AbortSignal) => Promise<Hold | undefined> {
  let last: { answer: Promise<Hold | undefined>; atMs: number } | undefined;
  const askAnew = (signal: AbortSignal): Promise<Hold | undefined> => {
    const asked = { answer: ask(signal), atMs: clock.elapsed() };
    last = asked;
    asked.answer.catch(() => {
      if (last === asked) last = undefined;
    });
    return asked.answer;
  };
  return async (signal) => {
    if (last === undefined || clock.elapsed() - last.atMs >= FRESH_MS) return askAnew(signal);
    // Whoever asked it may have given up.
    return last.answer.catch(() => askAnew(signal));
  };
}
