import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { parseEnvironment } from '../../../src/config/environment-file.ts';
import {
  environmentLine,
  isFileReference,
  missingVariables,
  variableOf,
  withVariables,
} from '../../../src/init/environment.ts';
import { writeWhole } from '../../../src/init/write-file.ts';

describe('the environment file', () => {
  test('has each value so that it is read back as it is', () => {
    for (const value of ['postgres://a:b%20c@h/d?sslmode=require', 'a b', `it's`, '"', '\\', '$x `y`', '#', ''])
      assert.equal(parseEnvironment(environmentLine({ name: 'A', value }))['A'], value, value);
  });

  test('keeps all else, and gets a variable in the place of the one that it has', () => {
    const text = '# mine\nA=1\n#B=2\nC=3';
    const wanted = [
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
      { name: 'C', value: '4' },
    ];
    const { absent, other } = missingVariables(text, wanted);
    assert.deepEqual([absent.map(({ name }) => name), other.map(({ name }) => name)], [['B'], ['C']]);
    assert.equal(withVariables(text, [...absent, ...other]), '# mine\nA=1\n#B=2\nC=4\nB=2\n');
  });

  test('is what a whole reference is about; a reference that has a part of a URL is none', () => {
    assert.equal(variableOf('${APP_URL}'), 'APP_URL');
    assert.equal(variableOf('${A:-postgres://app:hunter22@h/x}'), undefined);
    assert.equal(variableOf('postgres://app:hunter22@${HOST}/x'), undefined);
    assert.ok(isFileReference('${file:/run/secrets/url}'));
    assert.ok(!isFileReference('postgres://${file:/x}'));
  });
});

describe('a file that is written whole', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-test-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  test('does not replace another one unless it is to, and leaves nothing else', () => {
    const file = path.join(folder, 'new.yaml');
    writeWhole(file, 'a', { replace: false, mode: 0o644 });
    assert.equal(statSync(file).mode & 0o777, 0o644);
    assert.throws(() => {
      writeWhole(file, 'b', { replace: false, mode: 0o644 });
    }, /EEXIST/);
    assert.equal(readFileSync(file, 'utf8'), 'a');
    assert.deepEqual(readdirSync(folder), ['new.yaml']);
  });

  test('keeps a mode that is closer, and a link', () => {
    const file = path.join(folder, 'closed');
    writeFileSync(file, 'a');
    chmodSync(file, 0o600);
    symlinkSync(file, path.join(folder, 'link'));
    writeWhole(path.join(folder, 'link'), 'b', { replace: true, mode: 0o644 });
    assert.equal(readFileSync(file, 'utf8'), 'b');
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  test('is not there where the proof of it fails', () => {
    const prove = (temporary: string): void => {
      throw new Error(`bad: ${readFileSync(temporary, 'utf8')}`);
    };
    assert.throws(() => {
      writeWhole(path.join(folder, 'bad'), 'c', { replace: false, mode: 0o644, prove });
    }, /^Error: bad: c$/);
    assert.ok(readdirSync(folder).every((name) => !name.includes('bad')));
  });
});
