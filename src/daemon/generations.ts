/** A config in force with its threads. After a reload the old one lives on until its last run has ended. */
import type { Config } from '../config/schema.ts';
import { FairQueue } from '../work/fair-queue.ts';
import { Threads } from '../work/threads.ts';
import type { Generation } from './run-board.ts';

/** Opens the threads and the queue for a config; no thread starts before there is work. */
export function openGeneration(config: Config): Generation {
  return { config, place: new Threads(config.workers), queue: new FairQueue(config.workers.threads) };
}

/**
 * The generation after a reload: with the same threads when their number and limits are the same, so that memory stays
 * the one sum; else with new ones, that take over as the old ones run dry.
 */
export function nextGeneration(before: Generation, config: Config): Generation {
  const same = JSON.stringify(before.config.workers) === JSON.stringify(config.workers);
  return same ? { ...before, config } : openGeneration(config);
}
