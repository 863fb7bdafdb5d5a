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
    purgesHeld: number(isPurgeHeld),
    standby: number(({ current }) => current?.status === 'standby'),
    paused: number(({ paused }) => paused),
  };
}

export function isPurgeHeld({ purge }: Pick<Counted, 'purge'>): boolean {
  return purge !== null && (purge.notPurgeableRuns > 0 || purge.failure !== null);
}

export function isDamaged({ proof, rehearsal }: Pick<Counted, 'proof' | 'rehearsal'>): boolean {
  return (proof?.differentRuns ?? 0) > 0 || (rehearsal?.differentRuns ?? 0) > 0;
}
