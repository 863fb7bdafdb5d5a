import assert from 'node:assert/strict';
import { test } from 'node:test';
import { archiveNamed } from '../../../src/config/resolve.ts';
import type { Config } from '../../../src/config/schema.ts';
import { showArchive } from '../../../src/config/show.ts';
import { generatePrivateKey } from '../../../src/base/signing.ts';
import { load } from './support.ts';

const KEY = generatePrivateKey();
const SECRETS = ['hunter2', 'AKIAEXAMPLE', 'shhh-a-secret', '0f6a2c1e-3b1d', KEY.slice(40, 80)];
const CONFIG = `
sources:
  default: { url: "postgres://user:hunter2@h/d" }
  other: { url: "postgres://user:hunter3@h/d" }
destinations:
  default:
    url: s3://bucket/pg
    accessKeyId: AKIAEXAMPLE
    secretAccessKey: shhh-a-secret
    signing: { key: ${JSON.stringify(KEY)} }
    partSize: 8MiB
archives:
  fetch_queue:
    table: t
    schedule: "15 2 * * *"
    where: "at < :slot - interval '90 days'"
    ping: https://hc-ping.com/0f6a2c1e-3b1d-4a5e-9d0e-6b8c1a2f3e4d
    lateAfter: 90m
    retry: { for: 1500ms }
    pace: { bytesPerSecond: 10MiB, share: 50%, maxLag: 30s }
  another: { table: u, source: other }`;

function shown(config: Config, name = 'fetch_queue'): string {
  return showArchive(config, archiveNamed(config, name)!);
}

test('the config of an archive has its own parts as a file has them, and no secret', () => {
  const text = shown(load(CONFIG));
  for (const secret of SECRETS) assert.ok(!text.includes(secret), `${secret} is in ${text}`);
  assert.doesNotMatch(text, /another|other:|location/);
  for (const line of [
    'lateAfter: 90m',
    'for: 1500ms',
    'partSize: 8MiB',
    'share: 50%',
    'targetSize: 256MiB',
    "url: '***'",
  ])
    assert.ok(text.replaceAll('"', "'").includes(line), `${line} is not in ${text}`);
});

test('with its secrets put in again, it loads as the same archive', () => {
  const config = load(CONFIG.replace(/signing: .*/, '').replace(/ping: .*/, ''));
  const text = shown(config)
    .replace(/url: ["']?\*\*\*["']?/, 'url: "postgres://user:hunter2@h/d"')
    .replaceAll(/["']?\*\*\*["']?/g, 'x-secret');
  assert.deepEqual(load(text).archives['fetch_queue'], config.archives['fetch_queue']);
});
