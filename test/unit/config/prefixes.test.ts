import { test } from 'node:test';
import { assertProblems, SOURCES } from './support.ts';

const CASES: [title: string, a: string, b: string, archives: [string, string], clash: 'overlap' | 'no clash'][] = [
  [
    'two names for one bucket and prefix, and nested archives',
    'url: s3://bucket/x',
    'url: s3://bucket/x/y/',
    ['y', 'z'],
    'overlap',
  ],
  ['a nested archive that comes first', 'url: s3://bucket/x/y', 'url: s3://bucket/x', ['z', 'y'], 'overlap'],
  ['a prefix with and without its slash', 'url: s3://bucket/x', 'url: s3://bucket/x/', ['y', 'z'], 'no clash'],
  ['a name that begins like another', 'url: s3://bucket/x', 'url: s3://bucket/x/event', ['events', 'z'], 'no clash'],
  ['different buckets', 'url: s3://bucket/x', 'url: s3://other/x/y', ['y', 'z'], 'no clash'],
  [
    'different endpoints',
    'url: s3://bucket/x',
    'url: s3://bucket/x/y, endpoint: "http://minio:9000"',
    ['y', 'z'],
    'no clash',
  ],
  [
    'endpoints that differ in form only',
    'url: s3://bucket/x, endpoint: "http://MINIO:80/"',
    'url: s3://bucket/x/y, endpoint: "http://minio"',
    ['y', 'z'],
    'overlap',
  ],
  [
    'an endpoint of AWS',
    'url: s3://bucket/x',
    'url: s3://bucket/x/y, endpoint: "https://s3.eu-west-1.amazonaws.com"',
    ['y', 'z'],
    'overlap',
  ],
  [
    'endpoints that differ in the protocol only',
    'url: s3://bucket/x, endpoint: "http://minio:9000"',
    'url: s3://bucket/x/y, endpoint: "https://minio:9000"',
    ['y', 'z'],
    'overlap',
  ],
  ['nested folders', 'url: file:///srv/a', 'url: file:///srv/../srv/a/y', ['y', 'z'], 'overlap'],
  ['folders that begin alike', 'url: file:///srv/a', 'url: file:///srv/a/yy', ['y', 'z'], 'no clash'],
  ['a folder and a bucket', 'url: file:///srv/a', 'url: s3://srv/a/y', ['y', 'z'], 'no clash'],
];

for (const [title, a, b, [first, second], clash] of CASES) {
  test(`${title}: ${clash}`, () => {
    const relation = 'has a prefix that overlaps with that of';
    assertProblems(
      `${SOURCES}
destinations: { a: { ${a} }, b: { ${b} } }
archives:
  ${first}: { table: t, destination: a }
  ${clash === 'no clash' ? '' : '▸'}${second}: { table: t, destination: b }`,
      clash === 'no clash'
        ? []
        : [
            `archives.${second}: ${relation} archive "${first}", through the destinations "a" and "b"; change the url of one`,
          ],
    );
  });
}
