/** `pgsluice worker`: works on segments of runs that other hosts lead, until it is stopped. */
import { errorText, toFailure, UsageError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { growHeapsSlowly } from '../base/process-memory.ts';
import { countOf, formatBytes } from '../base/units.ts';
import { workerMemorySum } from '../config/memory-sum.ts';
import type { Config, HostsConfig } from '../config/schema.ts';
import { tellTlsMeanings } from '../config/tls-meaning.ts';
import { openNotify, type Notify } from '../daemon/systemd/notify.ts';
import { Bindings } from '../work/bindings.ts';
import { Host } from '../work/hosts/host.ts';
import { joinQueue, type Queue } from '../work/hosts/queue.ts';
import { Threads } from '../work/threads.ts';
import { EXIT } from './entry.ts';
import { openConfig, openLog, serviceWarnings, type Invocation } from './invocation.ts';

/** How long the process may live on after its last line. */
const LEFT_OPEN_MS = 500;
/** What is dropped in the end has so long to tidy up. */
const TIDY_MS = 25_000;
const STATUS_MS = 5000;

export async function workerCommand(invocation: Invocation): Promise<number> {
  growHeapsSlowly();
  const config = openConfig(invocation);
  const hosts = hostsOf(invocation, config);
  const log = openLog(invocation, config);
  for (const warning of serviceWarnings(invocation, config)) log.warn(warning);
  tellTlsMeanings(log, Object.values(config.sources));
  const notify = await openNotify(invocation.environment, (problem) => {
    log.warn(problem);
  });
  const stop = new AbortController();
  const onStop = (name: NodeJS.Signals): void => {
    // A second signal ends it at once: whatever it does is done by others then.
    if (stop.signal.aborted) process.exit(EXIT.interrupted);
    log.info({ signal: name }, 'the worker stops: it takes no segment any more, and finishes those it has');
    stop.abort(new Error('the worker is stopped'));
  };
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, onStop);
  try {
    await work({ invocation, config, hosts, log, notify, stop: stop.signal });
  } catch (error) {
    if (!stop.signal.aborted) {
      log.fatal({ failure: toFailure(error, 'worker') }, 'the worker cannot go on');
      return EXIT.failed;
    }
  } finally {
    await notify.close();
  }
  log.info('the worker has stopped');
  setTimeout(() => process.exit(EXIT.done), LEFT_OPEN_MS).unref();
  return EXIT.done;
}

function hostsOf({ configFile }: Invocation, { hosts }: Config): HostsConfig {
  if (hosts === undefined)
    throw new UsageError(`${configFile}: a worker needs the section hosts, with the url of the queue`);
  return hosts;
}

interface Work {
  invocation: Invocation;
  config: Config;
  hosts: HostsConfig;
  log: Log;
  notify: Notify;
  stop: AbortSignal;
}

async function work(parts: Work): Promise<void> {
  const { invocation, config, hosts, log, notify, stop } = parts;
  const { threads } = config.workers;
  const { totalBytes } = workerMemorySum(config);
  log.info({ threads, memoryBytes: totalBytes }, `memory, at most: ${formatBytes(totalBytes)}`);
  const bindings = new Bindings();
  const place = new Threads(config.workers, bindings);
  let current = config;
  let host: Host | undefined;
  const reload = (): void => {
    notify.reloading();
    current = reloaded(invocation, current, log);
    host?.reload(current);
    notify.ready(statusLine(host));
  };
  process.on('SIGHUP', reload);
  const timers = [setInterval(() => notify.status(statusLine(host)), STATUS_MS)];
  if (notify.watchdogIntervalMs !== undefined)
    timers.push(setInterval(() => notify.watchdog(), notify.watchdogIntervalMs));
  // The queue may take longer to come than systemd gives a start.
  notify.ready(statusLine(host));
  let queue: Queue | undefined;
  try {
    queue = await joinQueue(hosts, 'worker', threads, { log, signal: stop });
    host = new Host(current, hosts, { queue, place, threads, bindings, log });
    host.start();
    log.info({ threads, member: queue.id }, 'worker is ready');
    notify.status(statusLine(host));
    if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
    notify.stopping(`stops: ${statusLine(host)}`, current.drainTimeoutMs + TIDY_MS);
    await host.drain(current.drainTimeoutMs);
  } finally {
    for (const timer of timers) clearInterval(timer);
    process.off('SIGHUP', reload);
    await queue?.close();
    await place.close();
  }
}

/** A bad config never takes effect. */
function reloaded(invocation: Invocation, before: Config, log: Log): Config {
  try {
    const config = openConfig(invocation);
    const fixed = ({ workers, hosts }: Config): string => JSON.stringify([workers, hosts]);
    if (fixed(config) !== fixed(before))
      log.warn('workers and hosts of the config have changed: they take effect with the next start of this worker');
    log.info('config reloaded');
    return config;
  } catch (error) {
    const problems = error instanceof UsageError ? error.problems : [errorText(error)];
    log.error({ problems }, 'the config is bad, and the one before stays in force');
    return before;
  }
}

function statusLine(host: Host | undefined): string {
  if (host === undefined) return 'waits for the queue of hosts.url';
  const { active, done, isResting } = host.counts;
  const rest = isResting ? '; takes no other for a while, as it could not do one' : '';
  return `works on ${countOf(active, 'segment')}, ${done} done${rest}`;
}
