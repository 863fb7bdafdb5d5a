/** Writes what follows from the declarations of the commands, the options, the failures, the metrics and the requests to S3; with `--check`, says which of it is stale instead. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { buildCommandsDocs } from './commands-docs.ts';
import { buildMetricsDocs } from './metrics-docs.ts';
import { buildS3Docs } from './s3-docs.ts';
import { buildDocs } from './config-docs.ts';
import { buildErrorsDocs } from './errors-docs.ts';
import { buildJsonSchema } from './json-schema.ts';
import { buildManifestSchema } from './manifest-schema.ts';

const OUTPUTS = [
  { file: 'config/pgsluice.schema.json', build: () => JSON.stringify(buildJsonSchema()) },
  { file: 'config/pgsluice.manifest.schema.json', build: () => JSON.stringify(buildManifestSchema()) },
  { file: 'docs/commands.md', build: buildCommandsDocs },
  { file: 'docs/config.md', build: buildDocs },
  { file: 'docs/errors.md', build: buildErrorsDocs },
  { file: 'docs/metrics.md', build: buildMetricsDocs },
  { file: 'docs/s3.md', build: buildS3Docs },
];

/** Writes the files below `root`, or only compares them; returns the names of those that differed. */
export async function generate(root: string, { write }: { write: boolean }): Promise<string[]> {
  const stale: string[] = [];
  for (const { file, build } of OUTPUTS) {
    const target = `${root}/${file}`;
    const text = await format(build(), { ...(await resolveConfig(target)), filepath: target });
    if (readIfPresent(target) === text) continue;
    stale.push(file);
    if (write) writeFileSync(target, text);
  }
  return stale;
}

function readIfPresent(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const isCheck = process.argv.includes('--check');
  const stale = await generate(fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, ''), {
    write: !isCheck,
  });
  for (const file of stale) {
    process.stdout.write(isCheck ? `${file} is stale; run npm run generate\n` : `${file} written\n`);
  }
  if (isCheck && stale.length > 0) process.exitCode = 1;
}
