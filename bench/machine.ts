/** What the figures were measured on. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import { TOOL } from '../src/base/tool.ts';
import { formatBytes } from '../src/base/units.ts';
import { findAws } from './tools.ts';

/** Names and values, in the order of the report. */
export function describeMachine(postgresVersion: string): [string, string][] {
  const [cpu] = os.cpus();
  return [
    ['date', new Date().toISOString().slice(0, 10)],
    ['CPU', `${cpu?.model.trim() ?? 'unknown'}, ${os.availableParallelism()} cores`],
    ['memory', formatBytes(os.totalmem())],
    ['kernel', `${os.type()} ${os.release()}`],
    [
      'load before',
      os
        .loadavg()
        .map((load) => load.toFixed(2))
        .join(', '),
    ],
    ['pgsluice', TOOL.version],
    ['Node', process.version],
    ['Postgres', postgresVersion],
    ['libisal', isalVersion()],
    ['psql', versionOf('psql', '--version')],
    ['gzip', versionOf('gzip', '--version')],
    ['pigz', versionOf('pigz', '--version')],
    ['igzip', versionOf('igzip', '--version')],
    ['aws', versionOf(findAws(), '--version')],
  ];
}

function versionOf(command: string, ...args: string[]): string {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return 'not there';
  return (stdout.trim() || stderr.trim()).split('\n')[0] ?? '';
}

/** The library does not tell its version; its file's name does. */
function isalVersion(): string {
  const folders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/local/lib'];
  const files = folders.flatMap((folder) => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  });
  const versions = files.flatMap((file) => /^libisal\.so\.\d+\.\d+\.\d+$/.exec(file)?.[0] ?? []);
  return versions[0] ?? 'not there';
}
