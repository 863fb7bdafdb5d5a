/** The name and the version of this program, from its package.json. */
import { readFileSync } from 'node:fs';
import { ownFile } from './own-files.ts';

const { name, version } = JSON.parse(readFileSync(ownFile('../package.json'), 'utf8')) as {
  name: string;
  version: string;
};

export const TOOL = { name, version };
