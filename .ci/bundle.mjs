/**
 * The bundles: the program, cut so that a command loads what it needs and no more, and the entries of their own that
 * threads and processes start from. What two of them need is in a file that both load.
 */
import { cpSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** The status page: the browser takes it as it is. */
const PAGE = join('daemon', 'http', 'page');

/** By their paths below the folder of the bundles, where all but the first lie in a folder: `src/base/own-files.ts`. */
const ENTRIES = {
  bin: 'src/bin.ts',
  'segment/worker': 'src/segment/worker.ts',
  'demo/s3-server-process': 'src/demo/s3-server-process.ts',
  // piscina starts its threads from the file of this name beside itself.
  'program/worker': 'node_modules/piscina/dist/worker.js',
};

/** Native code, and what only few need: found at run time where it is installed. */
const EXTERNAL = ['koffi', 'pg-native', '@napi-rs/nice', 'pg-boss'];

/** What the packages that are written in CommonJS look for. */
const COMMON_JS = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;`;

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

/** An import of node:http reads each of its names, and one of them loads all of undici: a third of a short command's time. */
const HTTP_BY_NEED = {
  name: 'http-by-need',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: 'node:http', namespace: 'http-by-need' }));
    onLoad({ filter: /.*/, namespace: 'http-by-need' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}')`,
    }));
  },
};

/**
 * Writes the bundles, with the maps that lead back to the sources, and the files of the page into `folder`. Resolves to the
 * folders of the packages that went in, relative to the root: `node_modules/pg`.
 */
export async function bundle(folder, moreEntries = {}) {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.entries({ ...ENTRIES, ...moreEntries }).map(([out, file]) => ({ in: file, out })),
    outdir: folder,
    bundle: true,
    splitting: true,
    chunkNames: 'program/[name]-[hash]',
    platform: 'node',
    format: 'esm',
    target: 'node22.18',
    // A file with a character beyond Latin-1 takes twice the memory.
    charset: 'ascii',
    // The source is held as long as its process, in each thread, and hashed at each start. Names stay, as a stack shows them.
    minifyWhitespace: true,
    minifySyntax: true,
    // Modules rather than CommonJS where a package has both: of them, what nobody uses is left out.
    mainFields: ['module', 'main'],
    external: EXTERNAL,
    banner: { js: COMMON_JS },
    plugins: [HTTP_BY_NEED, PACKAGE_BY_NEED],
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  // Its types, and the settings of their check, are for those who change it.
  const filter = (file) => !file.endsWith('.d.ts') && basename(file) !== 'tsconfig.json';
  cpSync(join(ROOT, 'src', PAGE), join(folder, PAGE), { recursive: true, filter });
  return packagesOf(Object.keys(metafile.inputs));
}

function packagesOf(inputs) {
  const folders = inputs.map((file) => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  return [...new Set(folders)].filter((found) => found !== undefined).sort();
}
