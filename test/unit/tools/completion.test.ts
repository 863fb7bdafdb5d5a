/** What the shells complete, asked of the shells themselves, and the man page. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { COMMANDS } from '../../../src/commands/commands.ts';
import { COMMON_OPTIONS, VARIABLES } from '../../../src/commands/entry.ts';
import { buildShellFiles } from '../../../src/tools/shell-files.ts';
import { skipWithout, type Tool } from '../../support/needs.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-completion-'));
after(() => rmSync(folder, { recursive: true }));
const files = new Map(buildShellFiles('1.2.3'));
for (const [name, text] of files) writeFileSync(path.join(folder, path.basename(name)), text);
writeFileSync(path.join(folder, 'some-file.yaml'), '');

const NAMES = COMMANDS.map(({ name }) => name);

function optionsOf(command: string): string[] {
  const entry = COMMANDS.find(({ name }) => name === command);
  return [...(entry?.options ?? []), ...COMMON_OPTIONS].map(({ flags }) => flags.split(' ')[0]!).concat('--help');
}

/** What a shell, as it prints it, puts forward: a word a line. */
function ask(shell: string, script: string): string[] {
  const { status, stdout, stderr } = spawnSync(shell, ['-c', script], { cwd: folder, encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

const SHELLS: Record<string, (line: string) => string[]> = {
  bash: (line) => {
    const words = line.split(' ');
    return ask(
      'bash',
      `source ./pgsluice.bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
       _pgsluice; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );
  },
  fish: (line) =>
    ask('fish', `source ./pgsluice.fish; complete --do-complete '${line}'`).map((word) => word.split('\t')[0]!),
};

for (const [shell, complete] of Object.entries(SHELLS)) {
  describe(`in ${shell}`, { skip: skipWithout(shell as Tool) }, () => {
    test('the commands come first', () => {
      const words = complete('pgsluice ').filter((word) => !word.startsWith('-'));
      assert.deepEqual(words.toSorted(), NAMES.toSorted());
      assert.deepEqual(complete('pgsluice trig'), ['trigger']);
    });

    test('then the options of the command, all of them', () => {
      for (const name of NAMES)
        assert.deepEqual(complete(`pgsluice ${name} -`).toSorted(), optionsOf(name).toSorted(), name);
      assert.deepEqual(complete('pgsluice run --run'), ['--run-id']);
    });

    test('a file where one is meant, and nothing where another value is', () => {
      assert.deepEqual(complete('pgsluice check --config some'), ['some-file.yaml']);
      assert.deepEqual(complete('pgsluice keygen some'), ['some-file.yaml']);
      assert.deepEqual(complete('pgsluice run --run-id '), []);
      assert.deepEqual(complete('pgsluice list some'), []);
    });
  });
}

/** zsh completes for a terminal alone: what it would offer is recorded in the place of the functions that show it. */
describe('in zsh', { skip: skipWithout('zsh') }, () => {
  const complete = (line: string): string[] =>
    ask(
      'zsh',
      `_describe() { print -l -- \${(P)4%%:*} }
       _arguments() { shift; for each in "$@"; do print -r -- "\${\${each#\\*}%%\\[*}"; done }
       fpath=(. $fpath); autoload -Uz _pgsluice
       words=(${line
         .split(' ')
         .map((word) => `'${word}'`)
         .join(' ')}); CURRENT=${line.split(' ').length}
       _pgsluice`,
    );

  test('the commands come first', () => {
    assert.deepEqual(complete('pgsluice '), [...NAMES, '--help', '--version']);
  });

  test('then the options of the command, all of them', () => {
    for (const name of NAMES)
      assert.deepEqual(
        complete(`pgsluice ${name} -`).filter((word) => word.startsWith('-')),
        optionsOf(name),
        name,
      );
  });
});

describe('the man page', () => {
  const page = files.get('man/pgsluice.1') ?? '';

  test('has every command with its options, its exit codes, and every variable', () => {
    const plain = page.replaceAll('\\-', '-').replaceAll(/\\f[BIR]/g, '');
    for (const { name, options, arguments: given } of COMMANDS) {
      const [, section = ''] = plain.split(`.SS "${`pgsluice ${name} ${given}`.trimEnd()}"\n`);
      const own = section.split(/^\.S[SH] /m)[0]!;
      for (const { flags } of options)
        assert.ok(own.includes(`.TP\n${flags.replace(/[<>]/g, '')}\n`), `${name} ${flags}`);
    }
    const exits = plain.split('.SH EXIT STATUS')[1]!.split('.SH')[0]!;
    for (const { name, exits: own } of COMMANDS)
      for (const [code, meaning] of Object.entries(own)) {
        const line = exits.split(`.TP\n${name}\n`)[1]!.split('\n')[0]!;
        assert.ok(line.includes(`${code}: ${meaning.replaceAll('`', '\\(ga')}`), `${name} ${code}`);
      }
    for (const name of Object.keys(VARIABLES)) assert.ok(plain.includes(`.TP\n${name}\n`), name);
  });

  test('is understood by man without a warning', { skip: skipWithout('man') }, () => {
    const { status, stderr } = spawnSync('man', ['--warnings', '--local-file', path.join(folder, 'pgsluice.1')], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80' },
    });
    assert.deepEqual([status, stderr], [0, '']);
  });
});
