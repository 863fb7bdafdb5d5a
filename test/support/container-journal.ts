/** The journal of a unit in a container, read as it grows: what the service logs, and what systemd says about it. */
import { createInterface } from 'node:readline';
import { type LogLine, withDeadline } from './cli.ts';
import type { Container } from './container.ts';

export interface JournalEntry {
  /** syslog's: 3 is an error, 4 a warning, 6 an information. */
  PRIORITY: string;
  MESSAGE: string;
}

export class Journal {
  readonly entries: JournalEntry[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(container: Container, unit: string) {
    const child = container.start(`exec journalctl --unit ${unit} --follow --lines=all --output=json --all`, 600);
    child.stdin.end();
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.entries.push(JSON.parse(line) as JournalEntry);
      for (const look of this.#watchers) look();
    });
  }

  /** The lines of the service's own log. */
  get log(): LogLine[] {
    return this.entries.flatMap((entry) => logLineOf(entry) ?? []);
  }

  /** What a failed test shows. */
  textFrom(from: number): string {
    return this.entries
      .slice(from)
      .map(({ MESSAGE }) => MESSAGE)
      .join('\n');
  }

  /** Resolves to the first entry that matches, from the `from`-th on. */
  async waitFor(what: string, matches: (entry: JournalEntry) => boolean, from = 0): Promise<JournalEntry> {
    const { promise, resolve } = Promise.withResolvers<JournalEntry>();
    const look = (): void => {
      const entry = this.entries.slice(from).find(matches);
      if (entry !== undefined) resolve(entry);
    };
    this.#watchers.add(look);
    look();
    try {
      return await withDeadline(promise, () => `the journal has nothing of this: ${what}; but:\n${this.textFrom(0)}`);
    } finally {
      this.#watchers.delete(look);
    }
  }

  /** The same for a line of the service's own log; a text is that of the message. */
  async waitForLog(matches: string | ((line: LogLine) => boolean), from = 0): Promise<LogLine> {
    const isWanted = typeof matches === 'string' ? (line: LogLine) => line.msg.includes(matches) : matches;
    const isIt = (entry: JournalEntry): boolean => {
      const line = logLineOf(entry);
      return line !== undefined && isWanted(line);
    };
    return logLineOf(await this.waitFor(String(matches), isIt, from))!;
  }
}

/** undefined for what is no line of the log. */
export function logLineOf({ MESSAGE }: JournalEntry): LogLine | undefined {
  return MESSAGE.startsWith('{') ? (JSON.parse(MESSAGE) as LogLine) : undefined;
}
