/** Requests to the destination that are in trouble, as a host tells of them: all there are, so that a message that is lost or late is made up for. */
import type { Failure } from '../../base/errors.ts';
import type { OnTrouble, StoreTrouble } from '../../store/trouble.ts';

/** A request that is in trouble: sent again so often; with none, it takes long. */
export interface ToldTrouble {
  request: string;
  tries: number;
  failure?: Failure;
  /** It has ended, however it did. */
  isOver?: true;
}

/** Whatever is said, no more tries of a request are believed. */
const MOST_TRIES = 100;

/** Those of one task, on the host that does it. */
export class Troubles {
  readonly #most: number;
  #current: ToldTrouble[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  note(trouble: StoreTrouble): void {
    const { request } = trouble;
    const at = this.#current.findIndex((known) => known.request === request && known.isOver === undefined);
    const known = this.#current[at] ?? { request, tries: 0 };
    const told: ToldTrouble = {
      ...known,
      ...(trouble.what === 'retried' ? { tries: trouble.tries, failure: trouble.failure } : {}),
      ...(trouble.what === 'over' ? { isOver: true } : {}),
    };
    if (at < 0) this.#current.push(told);
    else this.#current[at] = told;
    this.#current = this.#current.slice(-this.#most);
  }

  /** As they are now; what is over is among them until it has been told. */
  get list(): readonly ToldTrouble[] {
    return this.#current;
  }

  /** These were told. */
  told(list: readonly ToldTrouble[]): void {
    this.#current = this.#current.filter((trouble) => trouble.isOver === undefined || !list.includes(trouble));
  }
}

/** Those of one task, with who sent it: says what of them is new. */
export class HeardTroubles {
  readonly #tries = new Map<string, number>();

  hear(list: readonly ToldTrouble[], onTrouble: OnTrouble): void {
    const there = new Set(list.map(({ request }) => request));
    for (const request of this.#tries.keys()) if (!there.has(request)) this.#end(request, onTrouble);
    for (const trouble of list) this.#hearOne(trouble, onTrouble);
  }

  #hearOne({ request, tries, failure, isOver }: ToldTrouble, onTrouble: OnTrouble): void {
    const before = this.#tries.get(request);
    if (before === undefined && failure === undefined && isOver === undefined) onTrouble({ what: 'slow', request });
    if (failure !== undefined)
      // Fewer than before are those of a further request of the same name.
      for (let at = before === undefined || before > tries ? 1 : before + 1; at <= Math.min(tries, MOST_TRIES); at += 1)
        onTrouble({ what: 'retried', request, tries: at, failure });
    this.#tries.set(request, tries);
    if (isOver === true) this.#end(request, onTrouble);
  }

  #end(request: string, onTrouble: OnTrouble): void {
    this.#tries.delete(request);
    onTrouble({ what: 'over', request });
  }
}
