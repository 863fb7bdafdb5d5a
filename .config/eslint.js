/** Typed lint, and the layers of the project: who may import what, and why. Run from the root of the repository. */
import { fileURLToPath } from 'node:url';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Outside packages, the only files that may import them, and the reason that a violation shows. */
const PACKAGES = [
  {
    packages: ['commander'],
    only: ['src/cli.ts'],
    reason: 'Only src/cli.ts knows the CLI library; a command is a plain function.',
  },
  {
    packages: ['node-cron'],
    only: ['src/daemon/schedule.ts', 'src/daemon/slots.ts', 'src/config/cron.ts'],
    reason:
      'Only src/daemon/schedule.ts and slots.ts (and src/config/cron.ts, to validate) know node-cron and its quirks.',
  },
  {
    packages: ['piscina'],
    only: ['src/run/**'],
    reason: 'Only src/run/ dispatches to threads; the data plane does not know in which thread it runs.',
  },
  {
    packages: ['@aws-sdk/*', '@smithy/*'],
    only: ['src/store/**'],
    reason: 'Only src/store/ knows the SDK; all others see the narrow interface in src/store/store.ts.',
  },
  {
    packages: ['pino'],
    only: ['src/base/log.ts'],
    reason:
      'Only src/base/log.ts knows pino, so that every line is cleaned of secrets. Import the type Log from there.',
  },
  {
    packages: ['pg'],
    only: ['src/postgres/**', 'src/segment/source/**', 'src/demo/**'],
    reason:
      'Only src/postgres/ and src/segment/source/ talk to Postgres: they set what must be set on each connection.',
  },
  {
    packages: ['pg-cursor', 'pg-copy-streams'],
    only: ['src/segment/source/**', 'src/segment/restore-copy.ts'],
    reason: 'Only src/segment/source/ reads rows, and restore-copy.ts writes them; the control plane never holds one.',
  },
];

/** The status page, which runs in a browser. */
const PAGE = 'src/daemon/http/page/**';

/** Folders of src, the folders that they may not import from, and the reason. `types` lets `import type` through. */
const LAYERS = [
  {
    files: ['src/base/**'],
    // A folder's own files are imported with `./`, so any step up leaves src/base.
    pattern: String.raw`^\.\./`,
    reason: 'src/base/ is the bottom layer and imports nothing from the rest of src.',
  },
  {
    files: ['src/segment/**'],
    pattern: folders('run', 'restore', 'daemon', 'commands', 'config', 'demo'),
    types: true,
    reason: 'src/segment/ is the data plane: it gets plain data in a task, and does not reach into the control plane.',
  },
  {
    files: ['src/store/**', 'src/postgres/**'],
    pattern: folders('run', 'restore', 'daemon', 'commands', 'segment', 'demo'),
    reason: 'src/store/ and src/postgres/ are adapters below both planes: they are called, and call nobody back.',
  },
];

const READS_ENVIRONMENT = ['src/cli.ts', 'src/config/**', 'src/daemon/notify*.ts', 'src/demo/**'];
const ENVIRONMENT_REASON = 'The environment is read once, in src/cli.ts and src/config/, and passed down.';

/** What matches an import of one of these folders of src, from a file in any other folder. */
function folders(...names) {
  return String.raw`^(\.\./)+(${names.join('|')})/`;
}

/** The imports that are forbidden to the files that match `patterns`, as options of no-restricted-imports. */
function restrictedImports(owned, layer) {
  const packages = PACKAGES.filter((rule) => !owned.includes(rule)).map(({ packages, reason }) => ({
    // Exact, or a path below it: `pg` must not catch `pg-cursor`.
    regex: `^(${packages.map((name) => name.replace('/*', '/.+')).join('|')})(/|$)`,
    message: reason,
  }));
  const layers = layer.map(({ pattern, types, reason }) => ({
    regex: pattern,
    message: reason,
    allowTypeImports: types ?? false,
  }));
  return { patterns: [...packages, ...layers] };
}

/** The same for `import()`, which no-restricted-imports does not see. */
function restrictedDynamicImports({ patterns }) {
  return patterns.map(({ regex, message }) => ({
    selector: `ImportExpression > Literal[value=/${regex.replaceAll('/', String.raw`\u002F`)}/]`,
    message,
  }));
}

/** A later object of a flat config replaces a rule whole, so each group of files gets its complete list of limits. */
function limitsOf(files, { packages = [], layers = [], environment = false }) {
  const imports = restrictedImports(packages, layers);
  if (!environment) {
    imports.paths = ['node:process', 'process'].map((name) => ({
      name,
      importNames: ['env'],
      message: ENVIRONMENT_REASON,
    }));
  }
  return {
    files,
    // The page is plain JavaScript for the browser: it is part of no layer, and nothing of src imports it.
    ignores: [PAGE],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', imports],
      'no-restricted-syntax': ['error', ...restrictedDynamicImports(imports)],
      'no-restricted-properties': environment
        ? 'off'
        : ['error', { object: 'process', property: 'env', message: ENVIRONMENT_REASON }],
    },
  };
}

/** Groups of files whose limits differ, the more special ones later. */
const GROUPS = [
  'src/**',
  'src/base/**',
  'src/base/log.ts',
  'src/segment/**',
  'src/segment/source/**',
  'src/segment/restore-copy.ts',
  'src/store/**',
  'src/postgres/**',
  'src/run/**',
  'src/config/**',
  'src/config/cron.ts',
  'src/daemon/notify*.ts',
  'src/daemon/schedule.ts',
  'src/daemon/slots.ts',
  'src/demo/**',
  'src/cli.ts',
];

/** Whether a rule for `globs` covers all files of `group`: it is the same pattern, or a folder above it. */
function covers(globs, group) {
  return globs.some((glob) => glob === group || (glob.endsWith('/**') && group.startsWith(glob.slice(0, -2))));
}

const limits = GROUPS.map((group) =>
  limitsOf([group], {
    packages: PACKAGES.filter(({ only }) => covers(only, group)),
    layers: LAYERS.filter(({ files }) => covers(files, group)),
    environment: covers(READS_ENVIRONMENT, group),
  }),
);

/** node:test waits for the promises of these by itself. */
const KNOWN_SAFE_CALLS = ['test', 'describe', 'suite', 'it'].map((name) => ({
  from: 'package',
  name,
  package: 'node:test',
}));

const PAGE_GLOBALS = Object.fromEntries(
  [
    'AbortSignal',
    'clearTimeout',
    'document',
    'EventSource',
    'fetch',
    'getComputedStyle',
    'navigator',
    'ResizeObserver',
    'setInterval',
    'setTimeout',
    'window',
  ].map((name) => [name, 'readonly']),
);

const SCRIPT_GLOBALS = Object.fromEntries(
  ['process', 'console', 'URL', 'Buffer', 'fetch', 'setTimeout', 'clearTimeout', 'performance', 'AbortSignal'].map(
    (name) => [name, 'readonly'],
  ),
);

const SCRIPT_RULES = {
  eqeqeq: 'error',
  'no-undef': 'error',
  'no-unused-vars': 'error',
  'prefer-const': 'error',
  'no-var': 'error',
};

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: ROOT } },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: KNOWN_SAFE_CALLS }],
      // `typeof import('…')` names the type of an optional dependency without loading it.
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // A number or a bigint prints without surprise.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // A method that fulfils an asynchronous interface need not wait for anything itself.
      '@typescript-eslint/require-await': 'off',
      // A record's key in brackets says that it may be missing.
      '@typescript-eslint/dot-notation': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      eqeqeq: 'error',
      'no-param-reassign': 'error',
      'prefer-const': 'error',
      'no-var': 'error',
    },
  },
  { files: ['src/**'], rules: { 'no-console': 'error' } },
  ...limits,
  {
    files: ['src/segment/encode/binary/**'],
    rules: {
      // The hot loops read bytes at places that they have just checked; a guard for each would cost as much as the work.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // A test knows what it has just put in; an assertion after it says so better than a guard.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.{js,mjs,cjs}'],
    ignores: [PAGE],
    languageOptions: { globals: SCRIPT_GLOBALS },
    rules: SCRIPT_RULES,
  },
  { files: [`${PAGE}/*.js`], languageOptions: { globals: PAGE_GLOBALS }, rules: SCRIPT_RULES },
);
