import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { exposureWarnings, fileWarnings, userWarnings } from '../../../src/config/exposure.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { ARCHIVES, DESTINATIONS, load, MINIMAL, SOURCES, write } from './support.ts';

const warnings = (text: string, environment: NodeJS.ProcessEnv = {}) => exposureWarnings(load(text), environment);

test('what stays on this machine is no exposure', () => {
  assert.deepEqual(warnings(`${MINIMAL}\nhttp: { listen: '127.0.0.1:8432' }`), []);
  assert.deepEqual(warnings(`${MINIMAL}\nhttp: { listen: '[::1]:8432' }`), []);
  const endpoint = 'destinations: { default: { url: "s3://bucket", endpoint: "http://127.0.0.1:9000" } }';
  assert.deepEqual(warnings([SOURCES, endpoint, ARCHIVES].join('\n')), []);
});

test('a page that other machines reach is warned of', () => {
  for (const listen of ['0.0.0.0:8432', '[::]:8432', 'archive.example.com:80', '10.0.0.7:8432'])
    assert.match(warnings(`${MINIMAL}\nhttp: { listen: '${listen}' }`).join(), /^http\.listen: .* from other machines/);
});

test('an endpoint without TLS is warned of', () => {
  const text = (url: string) =>
    [SOURCES, `destinations: { default: { url: "s3://bucket", endpoint: "${url}" } }`, ARCHIVES].join('\n');
  assert.match(warnings(text('http://s3.example.com')).join(), /destinations\.default\.endpoint: http:\/\/ sends/);
  assert.deepEqual(warnings(text('https://s3.example.com')), []);
});

test('a remote Postgres without TLS, or without a certificate that is verified, is warned of', () => {
  const source = (url: string, environment: NodeJS.ProcessEnv = {}) =>
    warnings([`sources: { default: { url: "${url}" } }`, DESTINATIONS, ARCHIVES].join('\n'), environment).join();
  assert.match(source('postgres://db.example.com/x'), /sources\.default\.url: .* without TLS/);
  assert.match(source('postgres://db.example.com/x?sslmode=disable'), /without TLS/);
  assert.match(source('postgres:///x', { PGHOST: 'db.example.com' }), /without TLS/);
  assert.match(source('postgres://db.example.com/x?sslmode=no-verify'), /certificate is not verified/);
  assert.match(source('postgres://db.example.com/x', { PGSSLMODE: 'no-verify' }), /certificate is not verified/);
  assert.equal(source('postgres://db.example.com/x?sslmode=require'), '');
  assert.equal(source('postgres://db.example.com/x', { PGSSLMODE: 'require' }), '');
  assert.equal(source('postgres://u@/x?host=/var/run/postgresql'), '');
  assert.equal(source('postgres://127.0.0.2/x'), '');
});

test('a secret in a file that everybody reads is warned of, a reference to it is not', () => {
  const text = [`sources: { default: { url: "postgres://u:geheim123@localhost/x" } }`, DESTINATIONS, ARCHIVES].join(
    '\n',
  );
  const file = write(text);
  const config = loadConfig(file, {});
  chmodSync(file, 0o644);
  assert.match(fileWarnings(file, config).join(), /holds secrets and can be read by every user .* chmod 640/);
  chmodSync(file, 0o640);
  assert.deepEqual(fileWarnings(file, config), []);
  const referring = write(text.replace('geheim123', '${PW}'), 'referring.yaml');
  chmodSync(referring, 0o644);
  assert.deepEqual(fileWarnings(referring, loadConfig(referring, { PW: 'geheim123' })), []);
});

test('root is warned of', () => {
  assert.match(userWarnings(0).join(), /running as root/);
  assert.deepEqual([userWarnings(1000), userWarnings(undefined)], [[], []]);
});
