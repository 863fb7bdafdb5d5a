/**
 * What is shipped with pgsluice, and under which licences: writes dist/sbom.cdx.json (CycloneDX) and, unless told to be
 * quiet, prints a list. Fails when a licence is missing or would bind who uses pgsluice, such as the GPL. Native binaries
 * are listed with the package that they come from.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const FILE = join(ROOT, 'dist', 'sbom.cdx.json');
/** Licences that ask for nothing but to be named. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Unlicense',
]);
const NATIVE = /\.(node|so(\.\d+)*|dylib|dll|wasm|exe|a)$/;

const bom = readBom();
const problems = bom.components.flatMap(describeProblem);
for (const component of bom.components) {
  const binaries = nativeFiles(component);
  for (const file of binaries) component.properties.push({ name: 'pgsluice:native-binary', value: file });
  if (!process.argv.includes('--quiet')) console.log(describe(component, binaries));
}
mkdirSync(dirname(FILE), { recursive: true });
writeFileSync(FILE, `${JSON.stringify(bom, null, 1)}\n`);
for (const problem of problems) console.error(`licenses: ${problem}`);
if (problems.length > 0) process.exitCode = 1;

/** npm's own list of what is installed for production, without the addresses that it was fetched from. */
function readBom() {
  const { status, stdout, stderr } = spawnSync(
    'npm',
    ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 ** 2,
    },
  );
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
  const bom = JSON.parse(stdout);
  bom.metadata.component.name = 'pgsluice';
  const locked = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  // What an install script has put beside the packages, such as the Node that development runs on, is not shipped.
  bom.components = bom.components.filter(({ name }) => isShipped(locked[`node_modules/${name}`]));
  for (const { externalReferences = [] } of bom.components) {
    const at = externalReferences.findIndex(({ type }) => type === 'distribution');
    if (at >= 0) externalReferences.splice(at, 1);
  }
  return bom;
}

function isShipped(entry) {
  return entry !== undefined && entry.dev !== true && entry.devOptional !== true;
}

function licensesOf({ licenses = [] }) {
  return licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name ?? 'unknown');
}

function describeProblem(component) {
  const found = licensesOf(component);
  const name = `${component.name} ${component.version}`;
  if (found.length === 0) return [`${name} names no licence`];
  // `(MIT OR GPL-3.0)` leaves the choice.
  const isGood = (text) =>
    text
      .replace(/[()]/g, '')
      .split(/ OR /)
      .some((choice) => choice.split(/ AND /).every((each) => ALLOWED.has(each.trim())));
  return found.filter((text) => !isGood(text)).map((text) => `${name} has the licence ${text}, which is not allowed`);
}

function nativeFiles(component) {
  const folder = join(ROOT, 'node_modules', component.name);
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && NATIVE.test(entry.name))
      .map((entry) => relative(join(ROOT, 'node_modules'), join(entry.parentPath, entry.name)))
      .filter((file) => !file.slice(component.name.length).includes('/node_modules/'));
  } catch {
    // An optional package of another platform.
    return [];
  }
}

function describe(component, binaries) {
  const line = `${component.name} ${component.version}: ${licensesOf(component).join(', ')}`;
  return [line, ...binaries.map((file) => `  native binary: ${file}`)].join('\n');
}
