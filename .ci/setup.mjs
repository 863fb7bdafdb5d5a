/**
 * Makes sure that the dependencies are installed as package-lock.json says, and that the pinned Node runs. Plain
 * JavaScript for any Node from 20 on, as it runs before there is anything else. Prints to standard error only.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
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
  if (nodeVersion() === undefined) rebuildNode();
  const version = nodeVersion();
  if (version === undefined) {
    fail(
      `${NODE} does not run, although the packages are installed.`,
      'Its install script fetches a package from the npm registry; `npm rebuild node` shows what it says.',
    );
  }
  const wanted = readJson('package.json').engines.node.replace(/^>=/, '');
  if (compareVersions(version, wanted) < 0) fail(`${NODE} is version ${version}; ${wanted} or newer is needed.`);
  if (isBuildStale()) build();
}

/** The demo and the benchmarks run what users run: the compiled program. */
function isBuildStale() {
  const built = join(ROOT, 'dist', 'bin.js');
  if (!existsSync(built)) return true;
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true });
  const builtAt = statSync(built).mtimeMs;
  return sources.some((entry) => entry.isFile() && statSync(join(entry.parentPath, entry.name)).mtimeMs > builtAt);
}

function build() {
  const result = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: ROOT,
    stdio: ['ignore', process.stderr, process.stderr],
  });
  if (result.status !== 0) fail('the build failed; its output is above.');
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

/** Unlike the script alone, a rebuild also makes the link in node_modules/.bin. */
function rebuildNode() {
  console.error('setup: the pinned Node is not there; running npm rebuild node');
  spawnSync('npm', ['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], {
    cwd: ROOT,
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
