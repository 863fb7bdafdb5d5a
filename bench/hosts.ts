/**
 * What a segment costs more when another host does it: a table of many segments of 1 MB, by the threads of the run itself and by as
 * many of a `pgsluice worker` beside it, in turn. By hand: `SEGMENTS=1000 ROUNDS=3 node bench/hosts.ts`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { Closers } from '../src/base/closers.ts';
import { NEVER } from '../src/base/signals.ts';
import { PROGRAM } from './compiled.ts';
import { openLightSite } from './light-site.ts';
import { measure, type Measurement } from './measure.ts';
import { emptyStore, openSite, say, type Site } from './site.ts';

const SEGMENTS = Number(process.env['SEGMENTS'] ?? 1000);
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const THREADS = Number(process.env['THREADS'] ?? 2);
/** Segments of a run that are under way at once: some wait in the queue whenever a thread is free. */
const PARALLEL = 4 * THREADS;

interface Ended {
  status: string;
  objects: number;
}

const closers = new Closers();
try {
  const site = await openLightSite(await openSite([], closers, NEVER), closers);
  const url = site.environment['DATABASE_URL'] ?? '';
  await fill(url);
  const queueUrl = new URL(url);
  queueUrl.pathname = '/queue';
  const worker = await startWorker(configOf(site, 'hosts', queueUrl.href), site.environment);
  closers.add('the worker', () => worker.stop());
  for (let round = 1; round <= ROUNDS; round += 1) {
    const here = await run(site, configOf(site, 'here', queueUrl.href), 'here');
    const before = worker.cpuSeconds();
    const hosts = await run(site, configOf(site, 'hosts', queueUrl.href), 'hosts');
    const cpuSeconds = hosts.cpuSeconds + worker.cpuSeconds() - before;
    const each = (a: number, b: number): number => Math.round(((a - b) / hosts.objects) * 1e5) / 100;
    say(
      `round ${round}: ${JSON.stringify({
        objects: hosts.objects,
        ...{ hereSeconds: here.seconds, hostsSeconds: hosts.seconds },
        msOfThread: each(hosts.seconds * THREADS, here.seconds * THREADS),
        cpuMs: each(cpuSeconds, here.cpuSeconds),
        postgresCpuMs: each(hosts.serverCpuSeconds, here.serverCpuSeconds),
      })}`,
    );
  }
} finally {
  await closers.close();
}

async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `CREATE TABLE wide AS SELECT g AS id, repeat(md5(g::text), 30) AS v FROM generate_series(1, ${SEGMENTS * 1000}) g`,
  );
  await client.query('VACUUM ANALYZE wide');
  await client.query('CREATE DATABASE queue');
  await client.end();
}

function configOf(site: Site, on: 'here' | 'hosts', queueUrl: string): string {
  const segments = `segments: { by: pages, targetSize: 1MiB, parallel: ${PARALLEL}, on: ${on} }`;
  const file = site.writeConfig(on, { [on]: `table: wide, ${segments}` }, { threads: THREADS });
  appendFileSync(file, `\nhosts: { url: "${queueUrl}" }\n`);
  return file;
}

async function run(site: Site, file: string, archive: string): Promise<Measurement & { objects: number }> {
  const options = { environment: site.environment, postmaster: site.postmaster, signal: NEVER };
  const measured = await measure(`"$NODE" '${PROGRAM}' run ${archive} --json --config '${file}'`, options);
  const [ended] = JSON.parse(measured.stdout) as Ended[];
  if (ended?.status !== 'committed') throw new Error(measured.stdout);
  await emptyStore(site);
  return { ...measured, objects: ended.objects };
}

interface Worker {
  /** So far. */
  cpuSeconds: () => number;
  stop: () => Promise<void>;
}

async function startWorker(file: string, environment: Record<string, string>): Promise<Worker> {
  const child = spawn(process.execPath, [PROGRAM, 'worker', '--config', file], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface(child.stderr)) if (line.includes('worker is ready')) break;
  child.stderr.resume();
  return {
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${child.pid ?? 0}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
