import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { peakRssBytes } from '../../../src/base/peak-rss.ts';

const HELD_BYTES = 400 * 1024 ** 2;
const MODULE = path.join(import.meta.dirname, '../../../src/base/peak-rss.ts');
const CHILD = `import { peakRssBytes } from ${JSON.stringify(MODULE)}; process.stdout.write(String(peakRssBytes()));`;

test(
  'the peak of a process is its own, and not of the large one that started it',
  { skip: process.platform !== 'linux' },
  () => {
    const held = Buffer.alloc(HELD_BYTES, 1);
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', CHILD], { encoding: 'utf8' });
    const child = Number(stdout);
    assert.ok(held.length === HELD_BYTES && peakRssBytes() > HELD_BYTES, 'the parent holds it');
    assert.ok(child > 10 * 1024 ** 2 && child < HELD_BYTES / 2, `${child} bytes`);
  },
);
