/** What all tasks of a run have in common. Plain data. */
export interface TaskOfRun {
  archive: string;
  run: string;
  /** Index in the run's plan or manifest, from 0; that of the first object where there are several. */
  segment: number;
  /** Which try this is, from 1. */
  attempt: number;
  /** Of the config that the run or the command began with, which names are those of: see binding.ts. */
  generation: number;
  /** Name of the destination that the objects lie in. */
  destination: string;
}
