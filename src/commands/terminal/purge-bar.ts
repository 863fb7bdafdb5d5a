/** The bar of a purge: its proof, then its rows, and why it pauses. */
import type { Pauses } from '../../pace/pauses.ts';
import type { PurgeProgress, PurgeRequest } from '../../purge/request.ts';
import type { VerifyProgress } from '../../verify/run.ts';
import { openProgressBar, type Progress, type ProgressBar } from './bar.ts';
import { progressOfBytes, progressOfPurge } from './progress.ts';

export class PurgeBar {
  readonly #open: () => ProgressBar;
  readonly #archive: string;
  readonly #title: string;
  readonly #startedMs = performance.now();
  #bar: ProgressBar;
  /** What was shown last, without a pause. */
  #shown: Progress | undefined;
  /** When the first rows were done, and how many these were: the time of the proof and of the question is none of theirs. */
  #begun: { ms: number; lines: number } | undefined;
  #pauses: Pauses | undefined;
  #unwatch: () => void = () => undefined;

  constructor(stream: NodeJS.WriteStream, { archive, execute }: PurgeRequest, signal: AbortSignal) {
    this.#open = () => openProgressBar(stream, signal);
    this.#archive = archive.name;
    this.#title = `${execute ? 'purge' : 'count'} ${archive.name}`;
    this.#bar = this.#open();
  }

  proof(progress: VerifyProgress): void {
    this.#show(progressOfBytes(`prove ${this.#archive}`, progress, performance.now() - this.#startedMs));
  }

  progress(progress: PurgeProgress): void {
    this.#begun ??= { ms: performance.now(), lines: progress.linesDone };
    const { ms, lines } = this.#begun;
    const since = { ms: performance.now() - ms, lines: progress.linesDone - lines };
    this.#show(progressOfPurge(this.#title, progress, since));
  }

  watch(pauses: Pauses): void {
    this.#pauses = pauses;
    this.#unwatch();
    this.#unwatch = pauses.watch(() => {
      this.#show(this.#shown ?? { title: this.#title, part: 0, figures: [] });
    });
  }

  above(text: string): void {
    this.#bar.above(text);
  }

  /** The bar would be drawn over what `work` writes. */
  async aside<T>(work: () => Promise<T>): Promise<T> {
    this.#bar.close();
    try {
      return await work();
    } finally {
      this.#shown = undefined;
      this.#bar = this.#open();
    }
  }

  close(): void {
    this.#unwatch();
    this.#bar.close();
  }

  #show(progress: Progress): void {
    this.#shown = progress;
    const pause = this.#pauses?.current;
    const figures = pause === undefined ? progress.figures : [`paused: ${pause.message}`, ...progress.figures];
    this.#bar.update({ ...progress, figures });
  }
}
