/**
 * ESLint and the type check, with the rules of .config/eslint.js and the settings of each tsconfig, over the same two
 * programs: in processes of their own, each of `eslint` and `tsc` would build and check them again.
 */
import { join } from 'node:path';
import { ESLint } from 'eslint';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '..');

/** The files that a program is for, and where its settings are. */
const PROGRAMS = [
  { files: ['**/*.ts'], settings: 'tsconfig.json' },
  { files: ['src/daemon/http/page/*.js'], settings: '.config/tsconfig.page.json' },
];

const DIAGNOSTIC_HOST = {
  getCanonicalFileName: (file) => file,
  getCurrentDirectory: () => ROOT,
  getNewLine: () => '\n',
};

const programs = PROGRAMS.map(({ files, settings }) => ({ files, program: createProgram(settings) }));
const texts = [await lint(), ...programs.map(({ program }) => typeCheck(program))].filter((text) => text !== '');
for (const text of texts) console.log(text);
if (texts.length > 0) process.exitCode = 1;

function createProgram(settings) {
  const parsed = ts.getParsedCommandLineOfConfigFile(join(ROOT, settings), undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (problem) => {
      throw new Error(ts.formatDiagnostic(problem, DIAGNOSTIC_HOST));
    },
  });
  const { fileNames: rootNames, options, errors: configFileParsingDiagnostics } = parsed;
  const host = ts.createCompilerHost(options, true);
  return ts.createProgram({ rootNames, options, host, configFileParsingDiagnostics });
}

/** What ESLint prints, warnings as well; as with the command, only errors fail. */
async function lint() {
  const eslint = new ESLint({
    cwd: ROOT,
    overrideConfigFile: '.config/eslint.js',
    overrideConfig: programs.map(({ files, program }) => ({
      files,
      languageOptions: { parserOptions: { programs: [program] } },
    })),
  });
  const results = await eslint.lintFiles(['.']);
  return (await eslint.loadFormatter('stylish')).format(results);
}

/** What `tsc --noEmit` prints. */
function typeCheck(program) {
  const problems = ts.getPreEmitDiagnostics(program);
  return ts.formatDiagnostics(ts.sortAndDeduplicateDiagnostics(problems), DIAGNOSTIC_HOST);
}
