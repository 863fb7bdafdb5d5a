/**
 * The bundles. The program and what its threads do are scripts, which V8 may run with the code that it compiled for an
 * earlier process: src/base/script.ts. The others are short, or seldom started.
 */
import { cpSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** The status page: the browser takes it as it is. */
const PAGE = join('daemon', 'http', 'page');

/** By their paths below the folder of the bundles, where all but the first lie in a folder: `src/base/own-files.ts`. */
const ENTRIES = {
  bin: 'src/bin.ts',
  'segment/worker': 'src/thread.ts',
  'demo/s3-server-process': 'src/demo/s3-server-process.ts',
  // piscina starts its threads from the file of this name beside itself.
  'program/worker': 'node_modules/piscina/dist/worker.js',
};
/** The commands that need more than others, all of a daemon: a script of their own has them. */
const DAEMON_COMMANDS = ['daemon', 'worker', 'demo'];
const SCRIPTS = [
  { out: 'program/program', in: 'src/cli.ts', has: (command) => !DAEMON_COMMANDS.includes(command) },
  { out: 'program/daemon', in: 'src/cli.ts', has: (command) => DAEMON_COMMANDS.includes(command) },
  { out: 'program/thread', in: 'src/segment/worker.ts' },
];

/** Native code, and what only few need: found at run time where it is installed. */
const EXTERNAL = ['koffi', 'pg-native', '@napi-rs/nice', 'pg-boss'];

/** Of a script, the whole is a function, which V8 compiles at once as it stands in brackets. No module loader knows it, so it requires. */
const SCRIPT = {
  supported: { 'dynamic-import': false },
  banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
  footer: { js: '})' },
};

/** Packages that a command may load and not need: each is run when it is first asked for anything. */
const PACKAGES_BY_NEED = ['node-cron'];
const BY_NEED = 'by-need:';

const PACKAGE_BY_NEED = {
  name: 'package-by-need',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(${PACKAGES_BY_NEED.join('|')})$`) }, ({ path, namespace }) =>
      namespace === BY_NEED ? undefined : { path, namespace: BY_NEED },
    );
    onLoad({ filter: /.*/, namespace: BY_NEED }, async ({ path }) => ({
      resolveDir: ROOT,
      contents: [
        ...functionsOf(await import(path)).map((name) => `exports.${name} = (...given) => load().${name}(...given);`),
        `function load() { return require('${path}'); }`,
      ].join('\n'),
    }));
  },
};

function functionsOf(module) {
  return Object.keys(module).filter((name) => typeof module[name] === 'function');
}

/** What other commands alone need is left out. */
const commandsOf = (has) => ({
  name: 'commands',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/[a-z-]+\.ts$/ }, ({ path, importer, kind }) => {
      const isCommand = kind === 'dynamic-import' && importer === join(ROOT, 'src/commands/commands.ts');
      return isCommand && !has(basename(path, '.ts')) ? { path, external: true } : undefined;
    });
  },
});

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node22.18',
  // A file with a character beyond Latin-1 takes twice the memory.
  charset: 'ascii',
  // The source is held as long as its process, in each thread, and hashed at each start. Names stay, as a stack shows them.
  minifyWhitespace: true,
  minifySyntax: true,
  // Of an error that nobody catches, Node prints the whole line that threw it.
  lineLimit: 200,
  // Modules rather than CommonJS where a package has both: of them, what nobody uses is left out.
  mainFields: ['module', 'main'],
  define: {
    // A text, as esbuild knows the type of no other constant, and leaves out what it rules out.
    DAEMON_COMMANDS: JSON.stringify(DAEMON_COMMANDS.join(' ')),
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
  },
  external: EXTERNAL,
  sourcemap: 'linked',
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  // There is none in CommonJS.
  logOverride: { 'empty-import-meta': 'error' },
};

/**
 * Writes the bundles, with the maps that lead back to the sources, and the files of the page into `folder`. `hook` is a module,
 * relative to the root, that goes into each script, before it. Resolves to the folders of the packages that went in, relative to the root:
 * `node_modules/pg`.
 */
export async function bundle(folder, hook) {
  const entryPoints = Object.entries(ENTRIES).map(([out, file]) => ({ in: file, out }));
  const scripts = SCRIPTS.map(({ has = () => true, ...script }) => ({
    ...SCRIPT,
    entryPoints: [script],
    plugins: [PACKAGE_BY_NEED, commandsOf(has)],
    inject: hook === undefined ? [] : [join(ROOT, hook)],
  }));
  const built = await Promise.all(
    [{ entryPoints, plugins: [PACKAGE_BY_NEED] }, ...scripts].map((part) =>
      build({ ...OPTIONS, ...part, outdir: folder }),
    ),
  );
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  // Its types, and the settings of their check, are for those who change it.
  const filter = (file) => !file.endsWith('.d.ts') && basename(file) !== 'tsconfig.json';
  cpSync(join(ROOT, 'src', PAGE), join(folder, PAGE), { recursive: true, filter });
  return packagesOf(built.flatMap(({ metafile }) => Object.keys(metafile.inputs)));
}

function packagesOf(inputs) {
  const folders = inputs.map((file) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  return [...new Set(folders)].filter((found) => found !== undefined).sort();
}
