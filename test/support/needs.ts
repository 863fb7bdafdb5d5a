/** What a test may need of the machine beside the npm packages: skipped without it, but not where CI has installed it. */
import { spawnSync } from 'node:child_process';

/** What .ci/run installs where it can, by the names that it has for it there. */
export type Tool =
  | 'libisal.so.2'
  | 'igzip'
  | 'pigz'
  | 'systemd-analyze'
  | 'promtool'
  | 'pgbouncer'
  | 'openssl'
  | 'dbus-daemon'
  | 'faketime'
  | 'jq'
  | 'psql'
  | 'python3'
  | 'fish'
  | 'zsh'
  | 'man'
  | 'moto_server'
  | 'mmdebstrap'
  | 'dpkg-deb'
  | 'lintian';

/** What .ci/run says that it has installed, or found. */
const CI_HAS = (process.env['PGSLUICE_CI_HAS'] ?? '').split(/\s+/);

/**
 * Why a test that needs the tool must be skipped; false when it need not. Throws where CI has the tool: then it is not the
 * machine that lacks something, and a skip would hide it.
 */
export function skipWithout(tool: Tool, problem: string | false = isMissing(tool)): string | false {
  if (problem !== false && CI_HAS.includes(tool)) throw new Error(`${problem}, although CI has ${tool}`);
  return problem;
}

export function isMissing(command: string): string | false {
  return spawnSync(command, ['--version']).error === undefined ? false : `${command} is not there`;
}
