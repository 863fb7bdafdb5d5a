/**
 * The configs that runs use: the one in force, and after a reload those before it, until their last runs have ended.
 */
import type { Config } from '../config/schema.ts';
import { Bindings } from '../work/bindings.ts';
import { FairQueue } from '../work/fair-queue.ts';
import type { PlaceConfig } from '../work/open-place.ts';
import type { Place } from '../work/place.ts';

/** What a run uses from its start to its end, whatever is reloaded meanwhile. */
export interface Generation {
  /** By which the tasks of its runs say what their names stand for. */
  number: number;
  config: Config;
  place: Place;
  queue: FairQueue;
}

/** A config that was not put in force, as it is bad. */
export interface RefusedConfig {
  at: Date;
  problems: readonly string[];
}

type OpenPlace = (config: PlaceConfig, bindings: Bindings) => Place;

export class Generations {
  readonly #bindings = new Bindings();
  readonly #openPlace: OpenPlace;
  /** Threads that end when their runs have. */
  readonly #retired = new Set<Place>();
  #current: Generation;
  #refused: RefusedConfig | undefined;

  constructor(config: Config, openPlace: OpenPlace) {
    this.#openPlace = openPlace;
    this.#current = this.#open(config);
  }

  get current(): Generation {
    return this.#current;
  }

  /** The config that a reload met last, when it was bad; undefined when the one in force is what the file says. */
  get refused(): RefusedConfig | undefined {
    return this.#refused;
  }

  refuse(problems: readonly string[]): void {
    this.#refused = { at: new Date(), problems };
  }

  /**
   * Puts a config in force. What the one before it had is given up when `runsEnded` resolves, as no run uses it then.
   */
  advance(config: Config, runsEnded: Promise<void>): void {
    const before = this.#current;
    this.#refused = undefined;
    this.#current = this.#next(before, config);
    const retired = this.#current.place === before.place ? undefined : before.place;
    if (retired !== undefined) this.#retired.add(retired);
    void runsEnded.then(async () => {
      this.#bindings.drop(before.number);
      if (retired !== undefined && this.#retired.delete(retired)) await retired.close();
    });
  }

  /** No run may be in progress any more. */
  async close(): Promise<void> {
    await this.#current.place.close();
    for (const place of this.#retired) await place.close();
    this.#retired.clear();
  }

  /**
   * With the same threads when their number and limits are the same, so that memory stays the one sum; else with new
   * ones, that take over as the old ones run dry.
   */
  #next(before: Generation, config: Config): Generation {
    const same = placeOf(before.config) === placeOf(config);
    return same ? { ...before, number: this.#bindings.add(config), config } : this.#open(config);
  }

  #open(config: Config): Generation {
    return {
      number: this.#bindings.add(config),
      config,
      place: this.#openPlace(config, this.#bindings),
      queue: new FairQueue(config.workers.threads),
    };
  }
}

/** What a place is opened with. */
function placeOf({ workers, hosts }: Config): string {
  return JSON.stringify([workers, hosts]);
}
