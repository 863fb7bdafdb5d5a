/**
 * One segment up to one of its stages, in a process of its own that does what a worker thread does, with the
 * program's own code: `node stage-process.ts CONFIG ARCHIVE STAGE`. Prints one JSON line, a StageFigures.
 */
import { pathToFileURL } from 'node:url';
import type { Client } from 'pg';
import type { SegmentTask } from '../src/segment/task.ts';

/** Each stage includes all before it. */
export const STAGES = ['read', 'encode', 'prove content', 'compress', 'prove object', 'upload'] as const;
export type Stage = (typeof STAGES)[number];

/** CPU time is that of the whole process from the first byte to the last, without its start. */
export interface StageFigures {
  seconds: number;
  cpuSeconds: number;
  rows: number;
  jsonBytes: number;
  bytes: number;
}

type Counts = Pick<StageFigures, 'rows' | 'jsonBytes' | 'bytes'>;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();

async function main(): Promise<void> {
  const [configFile = '', archive = '', stage = ''] = process.argv.slice(2);
  const { growHeapsSlowly, tuneAllocator } = await import('../src/base/process-memory.ts');
  growHeapsSlowly();
  tuneAllocator();
  process.stdout.write(`${JSON.stringify(await measureStage(configFile, archive, stage as Stage))}\n`);
}

async function measureStage(configFile: string, archive: string, stage: Stage): Promise<StageFigures> {
  const { connectPostgres, endConnection, socketOf } = await import('../src/postgres/connect.ts');
  const { beginReading, exportSnapshot, importSnapshot } = await import('../src/postgres/snapshot.ts');
  const { markServer } = await import('../src/postgres/server-mark.ts');
  const holder = await connectPostgres(await targetOf(configFile));
  const client = await connectPostgres(await targetOf(configFile));
  try {
    const task = await planTask(holder, configFile, archive);
    await beginReading(holder);
    const { id } = await exportSnapshot(holder);
    const server = await markServer(holder);
    await importSnapshot(client, id);
    // What a stage needs is loaded before the clock starts.
    await import('../src/segment/archive.ts');
    const started = performance.now();
    const cpuBefore = process.cpuUsage();
    const counts = await runStages(client, { ...task, snapshot: id, server }, stage, configFile);
    const { user, system } = process.cpuUsage(cpuBefore);
    return { seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6, ...counts };
  } finally {
    socketOf(client)?.destroy();
    await endConnection(client);
    await endConnection(holder);
  }
}

async function targetOf(configFile: string): Promise<{ url: string; applicationName: string }> {
  const { loadConfig } = await import('../src/config/load.ts');
  const source = loadConfig(configFile, process.env).sources['default'];
  return { url: source?.url ?? '', applicationName: 'pgsluice bench' };
}

/** The task that the control plane would send to a worker for the whole of the archive. */
async function planTask(client: Client, configFile: string, name: string): Promise<SegmentTask> {
  const { loadConfig } = await import('../src/config/load.ts');
  const { readerOf } = await import('../src/config/reader.ts');
  const { planRun, segmentSelect } = await import('../src/run/plan.ts');
  const { chooseCompressor } = await import('../src/format/compress/codec.ts');
  const config = loadConfig(configFile, process.env);
  const archive = config.archives[name];
  if (archive === undefined) throw new Error(`the config has no archive ${name}`);
  const plan = await planRun(client, archive, new Date());
  const [segment, more] = plan.segments;
  if (segment === undefined || more !== undefined) throw new Error(`${name} is to be one segment`);
  const { columns } = plan.subject.selection;
  return {
    kind: 'archive-segment',
    archive: name,
    run: 'stages',
    segment: 0,
    attempt: 1,
    generation: 0,
    source: archive.source,
    destination: archive.destination,
    snapshot: '',
    server: { systemIdentifier: null, startedAt: 0, address: null },
    read: readerOf(archive),
    select: segmentSelect(plan, segment, readerOf(archive)),
    columns,
    subject: plan.subject.name,
    range: '',
    keyColumns: plan.subject.key.map((key) => columns.findIndex((column) => column.name === key)),
    key: `${name}/run=stages/part-00000.jsonl.gz`,
    compression: archive.compression,
    compressor: chooseCompressor(archive.compression),
    maxRowBytes: 8 * 1024 * 1024,
  };
}

async function runStages(client: Client, task: SegmentTask, stage: Stage, configFile: string): Promise<Counts> {
  if (stage === 'read') return readOnly(client, task);
  if (stage === 'upload') return upload(task, configFile);
  return computeOnly(client, task, stage);
}

/** What comes from the socket is dropped, up to the server's word that it was all. */
async function readOnly(client: Client, { read, select: { text, params } }: SegmentTask): Promise<Counts> {
  const { AnswerSocket } = await import('../src/segment/source/answer-socket.ts');
  const sent = read === 'copy' ? `COPY (${text}\n) TO STDOUT (FORMAT binary)` : text;
  const socket = new AnswerSocket(client, { text: sent, params });
  let tail = '';
  for (;;) {
    const bytes = await socket.next();
    tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - 64))).slice(-64);
    const end = /C\0\0\0.(?:COPY|SELECT) (\d+)\0Z\0\0\0\x05[IT]$/s.exec(tail);
    if (end !== null) return { rows: Number(end[1]), jsonBytes: 0, bytes: 0 };
  }
}

/** All stages up to the one that is named, joined as archive-segment.ts joins them, and their result dropped. */
async function computeOnly(client: Client, task: SegmentTask, last: Stage): Promise<Counts> {
  const { readLines } = await import('../src/segment/read-lines.ts');
  const { ContentProof, ObjectProof } = await import('../src/format/proof.ts');
  const { compress } = await import('../src/format/compress/compress.ts');
  const { lendBuffers } = await import('../src/format/jsonl/write/binary/encode-memory.ts');
  const depth = STAGES.indexOf(last);
  const includes = (stage: Stage): boolean => depth >= STAGES.indexOf(stage);
  const content = new ContentProof();
  const object = new ObjectProof();
  const count = { read: { rows: 0 }, encoded: { rows: 0 }, keys: { first: null, last: null } };
  let jsonBytes = 0;
  async function* prove(lines: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const buffer of lines) {
      jsonBytes += buffer.length;
      if (includes('prove content')) content.add(buffer);
      yield buffer;
    }
  }
  const lines = prove(readLines(client, task, lendBuffers(), count));
  let bytes = 0;
  for await (const slice of includes('compress') ? compress(lines, task.compressor, content) : lines) {
    bytes += slice.length;
    if (includes('prove object')) object.add(slice);
  }
  return { rows: count.read.rows, jsonBytes, bytes };
}

/** The real thing. */
async function upload(task: SegmentTask, configFile: string): Promise<Counts> {
  const { loadConfig } = await import('../src/config/load.ts');
  const { bindTask } = await import('../src/segment/binding.ts');
  const { archiveSegment } = await import('../src/segment/archive.ts');
  const { rows, jsonBytes, bytes } = await archiveSegment(task, bindTask(task, loadConfig(configFile, process.env)), {
    report: () => {},
    onProgress: () => {},
    grant: () => Promise.resolve(),
    signal: new AbortController().signal,
  });
  return { rows, jsonBytes, bytes };
}
