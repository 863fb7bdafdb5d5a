import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseListen, parseLocation, type Location } from '../../../src/config/location.ts';

const LOCATIONS: [url: string, location: Location][] = [
  ['s3://bucket', { kind: 's3', bucket: 'bucket', prefix: '' }],
  ['s3://bucket/', { kind: 's3', bucket: 'bucket', prefix: '' }],
  ['s3://bucket/pg', { kind: 's3', bucket: 'bucket', prefix: 'pg/' }],
  ['s3://my.bucket-1/pg/daily//', { kind: 's3', bucket: 'my.bucket-1', prefix: 'pg/daily/' }],
  ['s3://bucket//pg/a b%20c', { kind: 's3', bucket: 'bucket', prefix: 'pg/a b%20c/' }],
  ['file:///srv/archive', { kind: 'file', folder: '/srv/archive' }],
  ['file:///srv/my%20archive/', { kind: 'file', folder: '/srv/my archive' }],
  ['file:///srv/../opt/x', { kind: 'file', folder: '/opt/x' }],
  ['file:///', { kind: 'file', folder: '/' }],
];

for (const [url, location] of LOCATIONS) {
  test(`${url} names its place`, () => {
    assert.deepEqual(parseLocation(url), location);
  });
}

test('an address is a host and a port', () => {
  assert.deepEqual(parseListen('127.0.0.1:8432'), { host: '127.0.0.1', port: 8432 });
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 });
  for (const bad of ['8432', ':8432', '::1:8432', 'h:', 'h:70000', 'h:1x', 'http://h:1'])
    assert.equal(parseListen(bad), undefined, bad);
});
