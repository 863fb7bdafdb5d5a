/** How many archives somebody should look at, and why: each counts, whatever it does besides. */

/** What of an archive's state is counted. */
interface Counted {
  failing: boolean;
  late: boolean;
  paused: boolean;
  current: { status: string } | null;
  proof: { differentRuns: number } | null;
  rehearsal: { differentRuns: number } | null;
  purge: { notPurgeableRuns: number; failure: object | null } | null;
}

export interface Counts {
  archives: number;
  failing: number;
  late: number;
  /** Archives with a run that is not what its manifest says, or did not come back when it was rehearsed. */
  damaged: number;
  /** Archives with runs that are due to be purged and do not go. */
  purgesHeld: number;
  standby: number;
  paused: number;
}

export function countArchives(archives: readonly Counted[]): Counts {
  const number = (fits: (archive: Counted) => boolean): number => archives.filter(fits).length;
  return {
    archives: archives.length,
    failing: number(({ failing }) => failing),
    late: number(({ late }) => late),
    damaged: number(isDamaged),
    purgesHeld: number(({ purge }) => purge !== null && (purge.notPurgeableRuns > 0 || purge.failure !== null)),
    standby: number(({ current }) => current?.status === 'standby'),
    paused: number(({ paused }) => paused),
  };
}

function isDamaged({ proof, rehearsal }: Counted): boolean {
  return (proof?.differentRuns ?? 0) > 0 || (rehearsal?.differentRuns ?? 0) > 0;
}
