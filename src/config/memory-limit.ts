/** Finds the memory that this process may use: the lowest of the machine's and the limits of its control groups. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface MemoryLimit {
  bytes: number;
  /** Which limit it is, such as `memory.max of /system.slice/pgsluice.service`. */
  from: string;
}

/** Where to look; tests give their own. */
export interface MemoryFiles {
  procCgroup: string;
  cgroupRoot: string;
  machineBytes: number;
}

/** The lowest limit. What cannot be read is no limit. */
export function memoryLimit(files: Partial<MemoryFiles> = {}): MemoryLimit {
  const { procCgroup = '/proc/self/cgroup', cgroupRoot = '/sys/fs/cgroup', machineBytes = os.totalmem() } = files;
  const limits = [...findGroups(procCgroup)].flatMap(({ version, group }) => readGroup(cgroupRoot, version, group));
  return limits.reduce((lowest, limit) => (limit.bytes < lowest.bytes ? limit : lowest), {
    bytes: machineBytes,
    from: "the machine's memory",
  });
}

interface Group {
  version: 1 | 2;
  group: string;
}

/** Lines are `0::/group` for version 2, and `4:memory:/group` for version 1; a machine may have both. */
function findGroups(procCgroup: string): Group[] {
  return (readIfPresent(procCgroup) ?? '').split('\n').flatMap((line): Group[] => {
    const [, controllers, group] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || group === undefined) return [];
    if (controllers === '') return [{ version: 2, group }];
    return controllers.split(',').includes('memory') ? [{ version: 1, group }] : [];
  });
}

/** Mounts of version 2, alone or beside version 1; and of version 1. */
const MOUNTS = { 1: ['memory'], 2: ['', 'unified'] };
const LIMIT_FILES = { 1: ['memory.limit_in_bytes'], 2: ['memory.max', 'memory.high'] };

/**
 * The limits of a group and of all its parents. A container may see paths that its own mount lacks; they are skipped.
 */
function readGroup(cgroupRoot: string, version: 1 | 2, group: string): MemoryLimit[] {
  return MOUNTS[version].flatMap((mount) =>
    selfAndParents(group).flatMap((parent) =>
      LIMIT_FILES[version].flatMap((file) => {
        const text = readIfPresent(path.join(cgroupRoot, mount, parent, file))?.trim() ?? '';
        // No limit is `max` in version 2, and a number beyond any machine's in version 1.
        return /^\d+$/.test(text) ? [{ bytes: Number(text), from: `${file} of ${parent}` }] : [];
      }),
    ),
  );
}

/** Normalising keeps `/../other`, the path of a group outside of the namespace, below the mount. */
function selfAndParents(group: string): string[] {
  const parts = path.posix.normalize(group).split('/').filter(Boolean);
  return Array.from({ length: parts.length + 1 }, (_, index) => `/${parts.slice(0, parts.length - index).join('/')}`);
}

function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
