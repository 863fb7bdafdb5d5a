import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runScript } from '../../../src/base/script.ts';

interface Exports {
  answer: () => string;
  place: string[];
}

const DAY_MS = 24 * 3600_000;

describe('a script', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-script-'));
    file = path.join(folder, 'one.js');
    writeScript('first');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** Its length is that of the answer, and a constant. */
  function writeScript(answer: string): void {
    const body = [
      `exports.answer = () => '${answer}';`,
      'exports.place = [__filename, __dirname, require.resolve("./one.js")];',
    ];
    writeFileSync(file, `(function (exports, require, module, __filename, __dirname) { ${body.join(' ')} })`);
  }

  function run(use = 'some', environment: NodeJS.ProcessEnv = { XDG_CACHE_HOME: folder }): ReturnType<typeof runIt> {
    return runIt(file, use, environment);
  }

  /** The answer compiled, as it is what an earlier process did. */
  function runAndKeep(use?: string): string {
    const script = run(use);
    const answer = script.exports.answer();
    script.keepCode();
    return answer;
  }

  function keptFiles(): string[] {
    return readdirSync(path.join(folder, 'pgsluice')).map((name) => path.join(folder, 'pgsluice', name));
  }

  function onlyFile(): string {
    const [kept = '', ...others] = keptFiles();
    assert.deepEqual(others, []);
    return kept;
  }

  test('is given what a module in CommonJS is given', () => {
    assert.deepEqual(run().exports.place, [file, folder, file]);
  });

  test('has its code kept, for itself alone, and is not compiled again', () => {
    assert.equal(runAndKeep(), 'first');
    const { ino, mode } = statSync(onlyFile());
    assert.equal(mode & 0o777, 0o600);
    assert.equal(runAndKeep(), 'first');
    assert.equal(statSync(onlyFile()).ino, ino, 'what was there was taken');
  });

  test('is run as it is now, though it is as long as it was', () => {
    runAndKeep();
    writeScript('later');
    assert.equal(runAndKeep(), 'later');
    assert.equal(runAndKeep(), 'later');
  });

  for (const [what, damage] of [
    ['cut off', (kept: Buffer) => kept.subarray(0, kept.length - 100)],
    ['cut off before its code', (kept: Buffer) => kept.subarray(0, 5)],
    ['changed by a bit', (kept: Buffer) => flipBit(kept, kept.length / 2)],
    ['empty', () => Buffer.alloc(0)],
  ] as const)
    test(`does not take code that is ${what}, and keeps it anew`, () => {
      runAndKeep();
      const kept = onlyFile();
      const whole = readFileSync(kept);
      writeFileSync(kept, damage(Buffer.from(whole)));
      assert.equal(runAndKeep(), 'first');
      assert.equal(readFileSync(kept).length, whole.length);
      assert.equal(runAndKeep(), 'first');
    });

  test('has code for each use', () => {
    runAndKeep('one');
    runAndKeep('two');
    assert.equal(keptFiles().length, 2);
  });

  test('loses code that no version has written for a month', () => {
    runAndKeep();
    const current = onlyFile();
    const [old, young, ofOthers] = ['.some.aaaa', '.some.bbbb', '.other.cccc'].map((rest) =>
      path.join(folder, 'pgsluice', `one${rest}`),
    ) as [string, string, string];
    for (const [kept, days] of [
      [old, 31],
      [young, 29],
      [ofOthers, 31],
    ] as const) {
      writeFileSync(kept, '');
      utimesSync(kept, new Date(), new Date(Date.now() - days * DAY_MS));
    }
    rmSync(current);
    runAndKeep();
    assert.deepEqual(keptFiles().toSorted(), [current, young, ofOthers].toSorted());
  });

  test('has no code kept that was compiled under other flags than it will be loaded under', () => {
    const script = run();
    setFlagsFromString('--optimize-for-size');
    script.keepCode();
    assert.deepEqual(keptFiles(), []);
    setFlagsFromString('--no-optimize-for-size');
    script.keepCode();
    assert.equal(keptFiles().length, 1);
  });

  test('runs where nothing can be kept', () => {
    for (const environment of [
      {},
      { XDG_CACHE_HOME: '/proc/self' },
      { NODE_DISABLE_COMPILE_CACHE: '1', HOME: folder },
    ]) {
      const script = run('some', environment);
      assert.equal(script.exports.answer(), 'first');
      script.keepCode();
    }
    assert.deepEqual(readdirSync(folder), ['one.js']);
  });

  test('runs where what is kept cannot be written any more', () => {
    const script = run();
    rmSync(path.join(folder, 'pgsluice'), { recursive: true });
    script.keepCode();
    assert.deepEqual(readdirSync(folder), ['one.js']);
  });

  test('runs where there is no folder any more that could be looked into', () => {
    const script = run();
    rmSync(path.join(folder, 'pgsluice'), { recursive: true });
    writeFileSync(path.join(folder, 'pgsluice'), '');
    script.keepCode();
    assert.equal(script.exports.answer(), 'first');
  });

  test('leaves nothing of processes that were killed as they kept the code', () => {
    const script = run();
    script.keepCode();
    const kept = onlyFile();
    for (const rest of ['4711.0', '4711.1']) writeFileSync(`${kept}.${rest}`, 'unfinished');
    rmSync(kept);
    script.keepCode();
    assert.deepEqual(keptFiles(), [kept]);
  });
});

function flipBit(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(Math.floor(at)) ^ 1, Math.floor(at));
  return bytes;
}

function runIt(file: string, use: string, environment: NodeJS.ProcessEnv): { exports: Exports; keepCode: () => void } {
  return runScript<Exports>(file, use, environment);
}
