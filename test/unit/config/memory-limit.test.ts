import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { memoryLimit } from '../../../src/config/memory-limit.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-cgroup-'));
after(() => {
  rmSync(folder, { recursive: true });
});

let count = 0;

function limitOf(procCgroup: string, files: Record<string, string>) {
  const cgroupRoot = path.join(folder, `machine-${(count += 1)}`);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(cgroupRoot, file)), { recursive: true });
    writeFileSync(path.join(cgroupRoot, file), text);
  }
  const proc = path.join(folder, 'cgroup');
  writeFileSync(proc, procCgroup);
  return memoryLimit({ procCgroup: proc, cgroupRoot, machineBytes: 8000 });
}

const MACHINE = { bytes: 8000, from: "the machine's memory" };
const UNIT = '0::/system.slice/pgsluice.service\n';

const CASES: [title: string, proc: string, files: Record<string, string>, expected: { bytes: number; from: string }][] =
  [
    ['no control group', '', {}, MACHINE],
    ['no limit', UNIT, { 'system.slice/pgsluice.service/memory.max': 'max\n' }, MACHINE],
    ['an empty file', UNIT, { 'system.slice/pgsluice.service/memory.max': '' }, MACHINE],
    ['a limit above the machine', UNIT, { 'system.slice/memory.max': '9000\n' }, MACHINE],
    [
      'a limit of the unit',
      UNIT,
      { 'system.slice/pgsluice.service/memory.max': '500\n' },
      { bytes: 500, from: 'memory.max of /system.slice/pgsluice.service' },
    ],
    [
      'a lower limit of its parent',
      UNIT,
      { 'system.slice/pgsluice.service/memory.max': '500\n', 'system.slice/memory.max': '400\n' },
      { bytes: 400, from: 'memory.max of /system.slice' },
    ],
    [
      'a lower throttle',
      UNIT,
      { 'system.slice/pgsluice.service/memory.max': '500\n', 'system.slice/pgsluice.service/memory.high': '300\n' },
      { bytes: 300, from: 'memory.high of /system.slice/pgsluice.service' },
    ],
    [
      'a container, which sees its own limit at the root',
      '0::/../../docker/abc\n',
      { 'memory.max': '700\n' },
      { bytes: 700, from: 'memory.max of /' },
    ],
    ['a group outside of the mount, which is not ours', '0::/../other\n', { '../other/memory.max': '100\n' }, MACHINE],
    [
      'version 1',
      '12:cpu,cpuacct:/x\n4:memory:/docker/abc\n',
      { 'memory/docker/abc/memory.limit_in_bytes': '600\n', 'memory/memory.limit_in_bytes': '9223372036854771712\n' },
      { bytes: 600, from: 'memory.limit_in_bytes of /docker/abc' },
    ],
    [
      'version 2 beside version 1',
      '4:memory:/\n0::/unit\n',
      { 'unified/unit/memory.max': '650\n' },
      { bytes: 650, from: 'memory.max of /unit' },
    ],
  ];

for (const [title, proc, files, expected] of CASES) {
  test(`the lowest memory limit: ${title}`, () => {
    assert.deepEqual(limitOf(proc, files), expected);
  });
}

test('this machine has a limit', () => {
  const { bytes } = memoryLimit();
  assert.ok(bytes > 0 && bytes <= os.totalmem());
});
