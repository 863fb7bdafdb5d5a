/**
 * Makes sure that the dependencies are installed as package-lock.json says, and that the pinned Node runs. Plain
 * JavaScript for any Node from 20 on, as it runs before there is anything else. Prints to standard error only.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE = join(ROOT, 'node_modules', '.bin', 'node');
const INSTALL_TIMEOUT_MS = 15 * 60_000;

setUp();

function setUp() {
  const reason = reasonToInstall();
  if (reason !== undefined) install(reason);
  // npm may have been told to run no install scripts; this one brings the pinned Node.
  if (nodeVersion() === undefined) runInstallScriptOfNode();
  const version = nodeVersion();
  if (version === undefined) {
    fail(
      `${NODE} does not run, although the packages are installed.`,
      'Its install script fetches a package from the npm registry. Run `npm rebuild node`, with --ignore-scripts=false',
      'if npm is set to ignore scripts here.',
    );
  }
  const wanted = readJson('package.json').engines.node.replace(/^>=/, '');
  if (compareVersions(version, wanted) < 0) fail(`${NODE} is version ${version}; ${wanted} or newer is needed.`);
}

/** Compares with npm's own record of what it has installed, which no interrupted installation leaves behind. */
function reasonToInstall() {
  const installed = readJson('node_modules/.package-lock.json');
  if (installed === undefined) return 'node_modules is missing or incomplete';
  for (const [path, wanted] of Object.entries(readJson('package-lock.json').packages)) {
    // The entry without a path is the project itself; optional packages are there on their own platform only.
    if (path === '' || wanted.optional === true) continue;
    if (installed.packages[path]?.version !== wanted.version) return `${path} is not ${wanted.version}`;
  }
  return undefined;
}

function install(reason) {
  console.error(`setup: ${reason}; running npm ci, which takes a moment`);
  // Development packages are wanted even where NODE_ENV or npm's own settings leave them out; and npm would warn, at
  // length, of the Node that is to be replaced.
  const result = spawnSync('npm', ['ci', '--include=dev', '--include=optional', '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', process.stderr, process.stderr],
    timeout: INSTALL_TIMEOUT_MS,
  });
  if (result.error?.code === 'ENOENT') fail('npm was not found. Install Node 20 or newer together with npm.');
  if (result.error !== undefined) fail(`npm ci did not run: ${result.error.message}`);
  if (result.status !== 0) {
    fail(
      `npm ci failed (${result.signal ?? `exit ${result.status}`}); its output is above.`,
      'It needs the npm registry, and write access to this folder. With a lock file out of step with package.json,',
      'run `npm install`.',
    );
  }
}

function runInstallScriptOfNode() {
  const folder = join(ROOT, 'node_modules', 'node');
  if (!existsSync(folder)) return;
  console.error('setup: fetching the pinned Node');
  spawnSync(process.execPath, ['installArchSpecificPackage.js'], {
    cwd: folder,
    env: { ...process.env, npm_config_ignore_scripts: 'false' },
    stdio: ['ignore', process.stderr, process.stderr],
    timeout: INSTALL_TIMEOUT_MS,
  });
}

function nodeVersion() {
  const { status, stdout } = spawnSync(NODE, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().replace(/^v/, '') : undefined;
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  const index = left.findIndex((part, at) => part !== (right[at] ?? 0));
  return index === -1 ? 0 : left[index] - (right[index] ?? 0);
}

function readJson(path) {
  const file = join(ROOT, path);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function fail(...lines) {
  console.error(`setup: ${lines.join('\n       ')}`);
  process.exit(1);
}
