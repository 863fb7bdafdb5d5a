/**
 * Typed lint and the type check; the rooms of the project and who may import what are in layers.js. Run from the root of the
 * repository, by `npm run lint`: the types are those of TypeScript's native compiler, in a fifth of the time.
 */
import { defineConfig, type OxlintConfig } from 'oxlint';

type Rules = NonNullable<OxlintConfig['rules']>;

// Files are written with `**/` before them, as they are looked for from the folder of this file.

/** The status page, which runs in a browser: it is part of no room, and nothing of src imports it. */
const PAGE = '**/src/daemon/http/page/**';

const READS_ENVIRONMENT = ['bin.ts', 'cli.ts', 'thread.ts', 'config/**', 'daemon/systemd/**', 'demo/**'].map(
  (place) => `**/src/${place}`,
);
const ENVIRONMENT_REASON = 'The environment is read once, in src/cli.ts and src/config/, and passed down.';

/** node:test waits for the promises of these by itself. */
const KNOWN_SAFE_CALLS = ['test', 'describe', 'suite', 'it'].map((name) => ({
  from: 'package' as const,
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
    (name) => [name, 'readonly' as const],
  ),
);

/** For all code that has types: what typescript-eslint calls `strict-type-checked`. */
const STRICT = [
  'no-array-constructor',
  'no-unused-expressions',
  'no-useless-constructor',
  'typescript/await-thenable',
  'typescript/ban-ts-comment',
  'typescript/no-array-delete',
  'typescript/no-base-to-string',
  'typescript/no-deprecated',
  'typescript/no-duplicate-enum-values',
  'typescript/no-duplicate-type-constituents',
  'typescript/no-dynamic-delete',
  'typescript/no-empty-object-type',
  'typescript/no-explicit-any',
  'typescript/no-extra-non-null-assertion',
  'typescript/no-extraneous-class',
  'typescript/no-for-in-array',
  'typescript/no-generated-empty-object-type',
  'typescript/no-implied-eval',
  'typescript/no-invalid-void-type',
  'typescript/no-meaningless-void-operator',
  'typescript/no-misused-new',
  'typescript/no-misused-promises',
  'typescript/no-misused-spread',
  'typescript/no-mixed-enums',
  'typescript/no-namespace',
  'typescript/no-non-null-asserted-nullish-coalescing',
  'typescript/no-non-null-asserted-optional-chain',
  'typescript/no-non-null-assertion',
  'typescript/no-redundant-type-constituents',
  'typescript/no-require-imports',
  'typescript/no-this-alias',
  'typescript/no-unnecessary-boolean-literal-compare',
  'typescript/no-unnecessary-template-expression',
  'typescript/no-unnecessary-type-arguments',
  'typescript/no-unnecessary-type-assertion',
  'typescript/no-unnecessary-type-constraint',
  'typescript/no-unnecessary-type-conversion',
  'typescript/no-unnecessary-type-parameters',
  'typescript/no-unsafe-argument',
  'typescript/no-unsafe-assignment',
  'typescript/no-unsafe-call',
  'typescript/no-unsafe-declaration-merging',
  'typescript/no-unsafe-enum-comparison',
  'typescript/no-unsafe-function-type',
  'typescript/no-unsafe-member-access',
  'typescript/no-unsafe-return',
  'typescript/no-unsafe-unary-minus',
  'typescript/no-useless-default-assignment',
  'typescript/no-wrapper-object-types',
  'typescript/only-throw-error',
  'typescript/prefer-as-const',
  'typescript/prefer-literal-enum-member',
  'typescript/prefer-namespace-keyword',
  'typescript/prefer-promise-reject-errors',
  'typescript/prefer-reduce-type-parameter',
  'typescript/prefer-return-this-type',
  'typescript/related-getter-setter-pairs',
  'typescript/restrict-plus-operands',
  'typescript/return-await',
  'typescript/triple-slash-reference',
  'typescript/unbound-method',
  'typescript/unified-signatures',
  'typescript/use-unknown-in-catch-callback-variable',
];

/** What it calls `stylistic-type-checked`; for TypeScript alone, as the page cannot say such things in JSDoc. */
const STYLISTIC = [
  'no-empty-function',
  'prefer-rest-params',
  'prefer-spread',
  'typescript/adjacent-overload-signatures',
  'typescript/array-type',
  'typescript/ban-tslint-comment',
  'typescript/class-literal-property-style',
  'typescript/consistent-generic-constructors',
  'typescript/consistent-indexed-object-style',
  'typescript/consistent-type-assertions',
  'typescript/consistent-type-definitions',
  'typescript/consistent-type-exports',
  'typescript/no-confusing-non-null-assertion',
  'typescript/no-inferrable-types',
  'typescript/non-nullable-type-assertion-style',
  'typescript/prefer-find',
  'typescript/prefer-for-of',
  'typescript/prefer-function-type',
  'typescript/prefer-includes',
  'typescript/prefer-nullish-coalescing',
  'typescript/prefer-optional-chain',
  'typescript/prefer-regexp-exec',
  'typescript/prefer-string-starts-ends-with',
];

const TYPED_RULES: Rules = {
  ...errors(STRICT),
  'typescript/no-floating-promises': ['error', { allowForKnownSafeCalls: KNOWN_SAFE_CALLS }],
  'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  // A number or a bigint prints without surprise.
  'typescript/restrict-template-expressions': ['error', { allowNumber: true }],
  'typescript/restrict-plus-operands': [
    'error',
    { allowAny: false, allowBoolean: false, allowNullish: false, allowNumberAndString: false, allowRegExp: false },
  ],
  'typescript/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  'typescript/no-unnecessary-condition': ['error', { allowConstantLoopConditions: 'only-allowed-literals' }],
  'typescript/return-await': ['error', 'error-handling-correctness-only'],
  'typescript/ban-ts-comment': ['error', { minimumDescriptionLength: 10 }],
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
  eqeqeq: 'error',
  'no-param-reassign': 'error',
  'prefer-const': 'error',
  'no-var': 'error',
};

const SCRIPT_RULES: Rules = {
  eqeqeq: 'error',
  'no-undef': 'error',
  'no-unused-vars': 'error',
  'prefer-const': 'error',
  'no-var': 'error',
};

/** AssemblyScript, whose compiler checks it; its types are not those of TypeScript. */
const WASM = ['**/src/format/jsonl/write/binary/wasm/**', '**/src/format/jsonl/scan/wasm/**'];

export default defineConfig({
  plugins: ['typescript'],
  jsPlugins: ['./layers.js'],
  categories: { correctness: 'off' },
  options: { typeAware: true, typeCheck: true, reportUnusedDisableDirectives: 'error' },
  overrides: [
    {
      files: ['**/*.ts'],
      excludeFiles: WASM,
      rules: {
        ...TYPED_RULES,
        ...errors(STYLISTIC),
        // `typeof import('…')` names the type of an optional dependency without loading it.
        'typescript/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      },
    },
    {
      files: ['**/src/**/*.ts'],
      rules: { 'no-console': 'error', 'layers/imports': 'error' },
    },
    {
      files: ['**/src/**/*.ts'],
      excludeFiles: READS_ENVIRONMENT,
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
      files: ['**/src/format/jsonl/write/binary/**'],
      rules: {
        // The hot loops read bytes at places that they have just checked; a guard for each would cost as much as the work.
        'typescript/no-non-null-assertion': 'off',
      },
    },
    {
      files: ['**/test/**/*.ts', '**/bench/**/*.ts'],
      rules: {
        // A test knows what it has just put in; an assertion after it says so better than a guard.
        'typescript/no-non-null-assertion': 'off',
        'no-empty-function': 'off',
        'typescript/unbound-method': 'off',
      },
    },
    {
      files: ['**/*.{js,mjs,cjs}'],
      excludeFiles: [PAGE],
      globals: SCRIPT_GLOBALS,
      rules: SCRIPT_RULES,
    },
    {
      files: [`${PAGE}/*.js`],
      rules: { ...TYPED_RULES, 'no-restricted-properties': ['error', ...MARKUP] },
    },
  ],
});

function errors(rules: readonly string[]): Record<string, 'error'> {
  return Object.fromEntries(rules.map((rule) => [rule, 'error']));
}
