/** The one progress bar: a line for each piece of work, redrawn in place on a terminal, and nothing elsewhere. */
import { visible } from '../../base/visible.ts';

/** What is drawn of a piece of work: a run, a restore, a verification. */
export interface Progress {
  /** What it is. A later state of the same title is drawn in the place of the one before. */
  title: string;
  /** How much is done, from 0 to 1. */
  part: number;
  /** The most important one first: those that a narrow terminal has no room for are left out from the end. */
  figures: readonly string[];
}

export interface ProgressBar {
  update: (progress: Progress) => void;
  /** Writes lines above it, each with its line break: what is written past it would be overwritten. */
  above: (text: string) => void;
  /** Draws the last state and leaves the lines standing. */
  close: () => void;
}

const DRAW_INTERVAL_MS = 100;
const WIDE_COLUMNS = 80;
const WIDE_CELLS = 20;
const NARROW_CELLS = 10;
const STOPPING = 'stopping cleanly; press Ctrl-C once more to stop at once';

/** A bar on `stream`, where that is a terminal; elsewhere the log says the same in lines. `signal` aborts at the first Ctrl-C. */
export function openProgressBar(stream: NodeJS.WriteStream, signal: AbortSignal): ProgressBar {
  if (!stream.isTTY)
    return { update: () => undefined, above: (text) => void stream.write(text), close: () => undefined };
  const running = new Map<string, Progress>();
  let drawnLines = 0;
  const draw = (above = ''): void => {
    const lines = fitHeight([...running.values()], stream.rows).map((progress) =>
      typeof progress === 'string' ? progress : formatProgress(progress, stream.columns),
    );
    // The cursor is not in the first column after a `^C`, which the terminal itself prints.
    const up = drawnLines > 0 ? `\r\u001b[${drawnLines}A` : '\r';
    stream.write(`${up}\u001b[J${above}${lines.map((line) => `${line}\n`).join('')}`);
    drawnLines = lines.length;
  };
  let isOpen = true;
  const sayStopping = (): void => {
    draw(`${STOPPING}\n`);
  };
  const timer = setInterval(() => draw(), DRAW_INTERVAL_MS);
  signal.addEventListener('abort', sayStopping, { once: true });
  return {
    update: (progress) => {
      running.set(progress.title, progress);
    },
    above: (text) => {
      if (isOpen) draw(text);
      else stream.write(text);
    },
    close: () => {
      clearInterval(timer);
      signal.removeEventListener('abort', sayStopping);
      draw();
      isOpen = false;
    },
  };
}

/** `fetch_queue ████████░░░░  61% 284,000 rows ETA 3.4 s 53.1 MB/s`: shorter than `columns`, as a line that wraps cannot be redrawn. */
export function formatProgress({ title, part, figures }: Progress, columns: number): string {
  const width = columns - 1;
  const start = `${visible(title, Math.max(8, Math.floor(columns / 3)))} ${drawBar(part, columns)} ${`${Math.floor(part * 100)}%`.padStart(4)}`;
  let line = start.slice(0, Math.max(0, width));
  for (const figure of figures) {
    const longer = `${line} ${visible(figure)}`;
    if (longer.length > width) break;
    line = longer;
  }
  return line;
}

function drawBar(part: number, columns: number): string {
  const cells = columns < WIDE_COLUMNS ? NARROW_CELLS : WIDE_CELLS;
  const full = Math.round(part * cells);
  return '█'.repeat(full) + '░'.repeat(cells - full);
}

/** The latest ones, where a terminal has fewer rows than there are lines: what has left the screen cannot be redrawn. */
function fitHeight(lines: readonly Progress[], rows: number): readonly (Progress | string)[] {
  const room = Math.max(2, rows - 1);
  if (lines.length <= room) return lines;
  const shown = lines.slice(-(room - 1));
  return [`… ${lines.length - shown.length} more`, ...shown];
}
