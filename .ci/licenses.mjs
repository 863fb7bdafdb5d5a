/**
 * What is shipped with pgsluice, in its bundles or as a dependency, and under which licences: dist/sbom.cdx.json
 * (CycloneDX), and dist/licenses.txt with the texts of what is in the bundles. A licence is a problem when it is missing or
 * would bind who uses pgsluice, such as the GPL. Native binaries are listed with the package that they come from. Run by
 * itself, it prints a list.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { bundle, ROOT } from './bundle.mjs';

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

const LICENSE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

if (process.argv[1] === import.meta.filename) await printList();

async function printList() {
  const folder = mkdtempSync(join(tmpdir(), 'pgsluice-licenses-'));
  try {
    const { lines, problems } = makeBillOfMaterials(folder, await bundle(folder));
    for (const line of lines) console.log(line);
    for (const problem of problems) console.error(`licenses: ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Writes both files into `folder`. `bundled` are the folders of the packages in the bundles, relative to the root. */
export function makeBillOfMaterials(folder, bundled) {
  const bom = readBom(bundled);
  const problems = bom.components.flatMap(describeProblem);
  const lines = bom.components.map((component) => {
    const binaries = nativeFiles(component);
    for (const file of binaries) component.properties.push({ name: 'pgsluice:native-binary', value: file });
    return describe(component, binaries);
  });
  writeFileSync(join(folder, 'sbom.cdx.json'), `${JSON.stringify(bom, null, 1)}\n`);
  writeFileSync(join(folder, 'licenses.txt'), bundled.map(licenseText).join('\n'));
  return { lines, problems };
}

/** What the licences ask for: that their text goes with each copy. */
function licenseText(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
  const files = readdirSync(join(ROOT, folder)).filter((file) => LICENSE_FILE.test(file));
  const texts = files.map((file) => readFileSync(join(ROOT, folder, file), 'utf8').trim());
  return [`# ${name} ${version} (${license})`, ...texts, ''].join('\n\n');
}

/** npm's own list, cut to what is shipped, without the addresses that it was fetched from. */
function readBom(bundled) {
  const { status, stdout, stderr } = spawnSync('npm', ['sbom', '--package-lock-only', '--sbom-format=cyclonedx'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 ** 2,
  });
  if (status !== 0) throw new Error(`npm sbom failed: ${stderr}`);
  const bom = JSON.parse(stdout);
  bom.metadata.component.name = 'pgsluice';
  const locked = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const shipped = Object.entries(locked).filter(([path, entry]) => bundled.includes(path) || isDependency(path, entry));
  const names = new Set(shipped.map(([path, { version }]) => `${nameOf(path)}@${version}`));
  bom.components = bom.components.filter(({ name, version }) => names.has(`${name}@${version}`));
  for (const { externalReferences = [] } of bom.components) {
    const at = externalReferences.findIndex(({ type }) => type === 'distribution');
    if (at >= 0) externalReferences.splice(at, 1);
  }
  return bom;
}

/** The entry without a path is the project itself. */
function isDependency(path, { dev, devOptional }) {
  return path !== '' && dev !== true && devOptional !== true;
}

function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
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
