/** What the log says of work that does not get on: the first retry of a request, and each minute without progress. */
import type { Log } from '../base/log.ts';
import type { StoreTrouble } from '../store/trouble.ts';
import type { RunProgress } from './progress.ts';

/** This long without progress is told, and again after as long. */
export const STALLED_AFTER_MS = 60_000;
const MOST_NAMED = 5;

/** Takes in what a store tells, of a segment or of the run itself. */
export function noteTrouble(log: Log, progress: RunProgress, trouble: StoreTrouble, segment?: number): void {
  progress.trouble(trouble, segment);
  if (trouble.what !== 'retried' || trouble.tries > 1) return;
  const { request, failure } = trouble;
  log.warn(
    { request, failure, ...(segment === undefined ? {} : { segment }) },
    'a request to the destination failed, and is sent again',
  );
}

/** Returns what ends the watch. */
export function watchStall(log: Log, progress: RunProgress, everyMs = STALLED_AFTER_MS): () => void {
  const timer = setInterval(() => {
    const { seconds, waitsFor } = progress.stall;
    if (seconds * 1000 < everyMs) return;
    log.warn(
      { stalledSeconds: Math.round(seconds), waitsFor: waitsFor.slice(0, MOST_NAMED), requests: waitsFor.length },
      'nothing has moved for a while',
    );
  }, everyMs);
  return () => {
    clearInterval(timer);
  };
}
