/** Stacks that name places in the sources: each bundle has a map beside it, which is read when a stack is to be shown. */
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownFile } from './own-files.ts';

/** `file:///…/dist/program/chunk.js:12:5`, at the end of a line, perhaps in brackets. */
const PLACE = /(file:\/\/[^()]+|\/[^()]+):(\d+):(\d+)(?=\)?$)/;

/** The error's stack; a place in a bundle becomes `src/run/execute.ts:12:5`, and all others stay as they are. */
export function stackOf(error: Error): string | undefined {
  const maps = new Map<string, SourceMap | undefined>();
  const inSources = (place: string, file: string, line: string, column: string): string => {
    const bundle = file.startsWith('file:') ? fileURLToPath(file) : file;
    if (!maps.has(bundle)) maps.set(bundle, mapOf(bundle));
    // The map counts from zero.
    const found = maps.get(bundle)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (found === undefined || !('originalSource' in found)) return place;
    const source = path.resolve(path.dirname(bundle), found.originalSource);
    return `${path.relative(ownFile('..'), source)}:${found.originalLine + 1}:${found.originalColumn + 1}`;
  };
  return error.stack
    ?.split('\n')
    .map((line) => line.replace(PLACE, inSources))
    .join('\n');
}

/** Undefined for what is no bundle. */
function mapOf(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as SourceMapPayload);
  } catch {
    return undefined;
  }
}
