/**
 * The S3 endpoint as a process of its own, so that it does not share the measured one's memory. Prints one JSON line when
 * it is ready, and ends when its standard input does, so that it never outlives its parent.
 *
 *   node s3-server-process.ts BUCKET… [--folder FOLDER]
 */
import { parseArgs } from 'node:util';
import { startS3 } from './s3-server.ts';

void serve();

async function serve(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { folder: { type: 'string' } } });
  const s3 = await startS3({ listsUploads: true, ...(values.folder === undefined ? {} : { folder: values.folder }) });
  for (const bucket of positionals) await s3.createBucket(bucket);
  const { endpoint, host, port, region, accessKeyId, secretAccessKey, folder } = s3;
  process.stdout.write(
    `${JSON.stringify({ endpoint, host, port, region, accessKeyId, secretAccessKey, folder, pid: process.pid })}\n`,
  );

  // A Ctrl-C in the terminal reaches the whole process group; the parent decides when this one ends.
  process.on('SIGINT', () => undefined);
  process.stdin.resume();
  process.stdin.on('close', () => {
    void s3.stop().finally(() => process.exit(0));
  });
}
