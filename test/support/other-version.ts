/** The program as if it were of another version: its bundles beside a package.json of their own. */
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PROGRAM } from './program.ts';

/** Makes it in an empty folder, and resolves to the path of its entry. */
export async function programOfVersion(version: string, folder: string): Promise<string> {
  const dist = path.dirname(PROGRAM);
  const packageJson = JSON.parse(await readFile(path.join(dist, '../package.json'), 'utf8')) as object;
  await cp(dist, path.join(folder, 'dist'), { recursive: true });
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ ...packageJson, version }));
  await symlink(path.join(import.meta.dirname, '../../node_modules'), path.join(folder, 'node_modules'));
  return path.join(folder, 'dist', path.basename(PROGRAM));
}
