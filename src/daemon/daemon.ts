/** The life of the daemon: it starts, it reloads, it stops. What it is made of is in wiring.ts. */
import type { Log } from '../base/log.ts';
import { Shutdown } from './shutdown.ts';
import { scheduleOfAudits } from './slots/schedule.ts';
import type { Notify } from './systemd/notify.ts';
import { wire, type DaemonParts, type Wiring } from './wiring.ts';

export class Daemon {
  readonly #log: Log;
  readonly #notify: Notify;
  readonly #shutdown: Shutdown;
  readonly #parts: Wiring;

  constructor(parts: DaemonParts) {
    this.#log = parts.log;
    this.#notify = parts.notify;
    this.#shutdown = new Shutdown(parts.log);
    this.#parts = wire(parts, this.#shutdown);
  }

  /** Runs until it is stopped; resolves once everything is closed. */
  async run(): Promise<void> {
    const {
      generations,
      standings,
      schedule,
      auditSchedule,
      entrySchedule,
      rehearsals,
      lookAround,
      listeners,
      reload,
    } = this.#parts;
    // A source that does not answer keeps no daemon that is stopped meanwhile.
    await Promise.race([reload.begin(), this.#shutdown.ended]);
    const { archives, workers } = generations.current.config;
    standings.set(Object.values(archives), new Date());
    schedule.set(Object.values(archives));
    auditSchedule.set(scheduleOfAudits(generations.current.config));
    entrySchedule.set(Object.values(generations.current.config.patterns));
    rehearsals.look();
    const lookedAround = lookAround.lookAt(Object.values(archives));
    await listeners.apply();
    if (!this.#shutdown.isStopping) this.#start(Object.keys(archives).length, workers.threads);
    // A destination or a source that does not answer keeps no daemon that has stopped.
    await Promise.race([lookedAround.then(() => this.#shutdown.ended), this.#shutdown.ended]);
  }

  /** Reads the config again; see reload.ts. */
  async reload(): Promise<void> {
    await this.#parts.reload.run();
  }

  /** Stops at the first signal, and aborts what is still in progress at the second; see shutdown.ts. */
  async stop(signal: string): Promise<void> {
    const { generations, board, statusLine } = this.#parts;
    const { drainTimeoutMs } = generations.current.config;
    await this.#shutdown.signal(signal, { board, notify: this.#notify, statusLine, drainTimeoutMs });
  }

  #start(archives: number, threads: number): void {
    const { pulse, schedule, auditSchedule, entrySchedule, audits, former, statusLine } = this.#parts;
    pulse.start();
    schedule.start();
    auditSchedule.start();
    entrySchedule.start();
    this.#log.info({ archives, threads }, 'daemon is ready');
    this.#notify.ready(statusLine());
    // Nobody waits for what is read of destinations from here on.
    void audits.look();
    void former.look();
  }
}
