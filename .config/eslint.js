/** Typed lint; the rooms of the project and who may import what are in layers.js. Run from the root of the repository. */
import { fileURLToPath } from 'node:url';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { imports } from './layers.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The status page, which runs in a browser: it is part of no room, and nothing of src imports it. */
const PAGE = 'src/daemon/http/page/**';

const READS_ENVIRONMENT = ['src/bin.ts', 'src/cli.ts', 'src/config/**', 'src/daemon/systemd/**', 'src/demo/**'];
const ENVIRONMENT_REASON = 'The environment is read once, in src/cli.ts and src/config/, and passed down.';

/** node:test waits for the promises of these by itself. */
const KNOWN_SAFE_CALLS = ['test', 'describe', 'suite', 'it'].map((name) => ({
  from: 'package',
  name,
  package: 'node:test',
}));

/** What would make markup of a text. */
const MARKUP = [
  'innerHTML',
  'outerHTML',
  'insertAdjacentHTML',
  'setHTMLUnsafe',
  'createContextualFragment',
  'parseFromString',
  'srcdoc',
  'write',
].map((property) => ({ property, message: 'What comes from outside is shown as text, never as markup.' }));

const SCRIPT_GLOBALS = Object.fromEntries(
  ['process', 'console', 'URL', 'Buffer', 'fetch', 'setTimeout', 'clearTimeout', 'performance', 'AbortSignal'].map(
    (name) => [name, 'readonly'],
  ),
);

/** For all code that has types. */
const TYPED_RULES = {
  '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: KNOWN_SAFE_CALLS }],
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  // A number or a bigint prints without surprise.
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
  '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'only-allowed-literals' }],
  // A method that fulfils an asynchronous interface need not wait for anything itself.
  '@typescript-eslint/require-await': 'off',
  // A record's key in brackets says that it may be missing.
  '@typescript-eslint/dot-notation': 'off',
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
  eqeqeq: 'error',
  'no-param-reassign': 'error',
  'prefer-const': 'error',
  'no-var': 'error',
};

const SCRIPT_RULES = {
  eqeqeq: 'error',
  'no-undef': 'error',
  'no-unused-vars': 'error',
  'prefer-const': 'error',
  'no-var': 'error',
};

/** AssemblyScript, whose compiler checks it; its types are not those of TypeScript. */
const WASM = ['src/format/jsonl/write/binary/wasm/', 'src/format/jsonl/scan/wasm/'];

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/', ...WASM]),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: ROOT } },
    rules: {
      ...TYPED_RULES,
      // `typeof import('…')` names the type of an optional dependency without loading it.
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/consistent-type-exports': 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { layers: { rules: { imports } } },
    rules: { 'no-console': 'error', 'layers/imports': 'error' },
  },
  {
    files: ['src/**/*.ts'],
    ignores: READS_ENVIRONMENT,
    rules: {
      'no-restricted-properties': ['error', { object: 'process', property: 'env', message: ENVIRONMENT_REASON }],
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:process', 'process'].map((name) => ({
            name,
            importNames: ['env'],
            message: ENVIRONMENT_REASON,
          })),
        },
      ],
    },
  },
  {
    files: ['src/format/jsonl/write/binary/**'],
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
  {
    files: [`${PAGE}/*.js`],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './.config/tsconfig.page.json', tsconfigRootDir: ROOT } },
    rules: { ...TYPED_RULES, 'no-restricted-properties': ['error', ...MARKUP] },
  },
);
