/** The root of a clean Debian 12 with systemd, sudo and no Node, made once in a checkout. */
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { skipWithout } from './needs.ts';
import { ROOT } from './package.ts';

const FOLDER = path.join(ROOT, 'node_modules/.cache/debian-root');
const SUITE = 'bookworm';
const PACKAGES = ['systemd-sysv', 'dbus', 'sudo', 'ca-certificates'];
const TIMEOUT_MS = 400_000;
const NO_NETWORK = /Could not (?:connect|resolve)|Temporary failure resolving|Unable to connect|Connection timed out/i;

/** The folder, or why there is none. The container is asked about first (whyNoContainer). */
export function debianRoot(): { folder: string } | { problem: string } {
  if (existsSync(FOLDER)) return { folder: FOLDER };
  const missing = skipWithout('mmdebstrap');
  if (missing !== false) return { problem: missing };
  const unfinished = `${FOLDER}-${process.pid}`;
  try {
    const { status, stderr } = spawnSync('mmdebstrap', [...optionsOf(process.env), SUITE, unfinished], {
      encoding: 'utf8',
      timeout: TIMEOUT_MS,
    });
    if (status === 0) renameSync(unfinished, FOLDER);
    else if (NO_NETWORK.test(stderr)) return { problem: "Debian's packages cannot be fetched" };
    else throw new Error(`mmdebstrap failed: ${stderr}`);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return { folder: FOLDER };
}

function optionsOf({ http_proxy: proxy }: NodeJS.ProcessEnv): string[] {
  return [
    '--variant=apt',
    `--include=${PACKAGES.join(',')}`,
    '--dpkgopt=force-unsafe-io',
    '--aptopt=APT::Install-Recommends "false"',
    // A machine in use has them, and so apt knows libisal2.
    '--skip=cleanup/apt/lists',
    ...(proxy === undefined ? [] : [`--aptopt=Acquire::http::Proxy "${proxy}"`]),
  ];
}
