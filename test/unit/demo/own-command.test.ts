import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { shellWord } from '../../../src/base/shell-word.ts';
import { isInstalled, ownCommand } from '../../../src/demo/own-command.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-own-'));
after(() => rmSync(folder, { recursive: true }));
const bin = (name: string): string => {
  const made = path.join(folder, name);
  mkdirSync(made, { recursive: true });
  return made;
};
const script = path.join(folder, "it's bin.js");
writeFileSync(script, "process.stdout.write('it works ' + process.argv.slice(2).join(' '))", { mode: 0o755 });
symlinkSync(script, path.join(bin('global'), 'pgsluice'));
symlinkSync(process.execPath, path.join(bin('nodes'), 'node'));
writeFileSync(path.join(bin('other'), 'pgsluice'), '', { mode: 0o755 });
symlinkSync(script, path.join(bin('node_modules/.bin'), 'pgsluice'));

describe('the command by which another terminal calls this program', () => {
  test('is its name where a shell finds it under that name', () => {
    assert.equal(ownCommand(`${bin('other')}x:${bin('global')}`, script), 'pgsluice');
  });

  for (const [where, searched] of [
    ['nowhere', ''],
    ['as another program', bin('other')],
    ['only where npm looks for its scripts', bin('node_modules/.bin')],
  ] as const) {
    test(`works where a shell finds the name ${where}`, () => {
      const command = ownCommand(searched, script);
      const { stdout } = spawnSync('/bin/sh', ['-c', `${command} list`], { encoding: 'utf8', env: { PATH: searched } });
      assert.equal(stdout, 'it works list', command);
    });
  }

  test('says node where that is the Node of this process', () => {
    assert.match(ownCommand(bin('nodes'), script), /^node '/);
  });
});

test('a command is installed where the path has it and it can be executed', () => {
  assert.deepEqual([isInstalled('pgsluice', bin('other')), isInstalled('psql', bin('other'))], [true, false]);
});

test('a word of a shell is quoted where that is needed', () => {
  assert.equal(shellWord('postgres://u:p@h/d'), 'postgres://u:p@h/d');
  assert.equal(shellWord("a b'c"), `'a b'\\''c'`);
});
