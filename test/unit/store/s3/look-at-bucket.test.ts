import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { NEVER } from '../../../../src/base/signals.ts';
import { bucketFacts } from '../../../../src/store/s3/look-at-bucket.ts';
import { openS3Target } from '../../../../src/store/s3/under.ts';
import { destinationOf } from '../../../support/s3-server.ts';

const ABORT_RULE = `<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
  <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`;

type Question = 'versioning' | 'object-lock' | 'lifecycle';
type Answers = Record<Question, [status: number, body: string]>;

let answers: Answers;
const server = http.createServer(({ url = '' }, response) => {
  const asked = (['versioning', 'object-lock', 'lifecycle'] as const).find((name) => url.includes(`?${name}`));
  const [status, body] = asked === undefined ? [404, ''] : answers[asked];
  response.writeHead(status, { 'Content-Type': 'application/xml' }).end(`<?xml version="1.0"?>${body}`);
});

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const error = (status: number, code: string): [number, string] => [
  status,
  `<Error><Code>${code}</Code><Message>no</Message></Error>`,
];

async function factsOf(given: Answers): Promise<string[]> {
  answers = given;
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const destination = destinationOf({ endpoint, region: 'us-east-1', accessKeyId: 'a', secretAccessKey: 'b' }, 'acme');
  if (destination.location.kind !== 's3') throw new Error('not S3');
  const target = openS3Target(destination, destination.location, NEVER, () => undefined);
  const facts: string[] = [];
  for (const ask of bucketFacts(target)) facts.push(await ask(20_000));
  target.client.destroy();
  return facts;
}

test('a bucket where nothing was ever set says so by errors, as S3 does', async () => {
  const facts = await factsOf({
    versioning: [200, '<VersioningConfiguration/>'],
    'object-lock': error(404, 'ObjectLockConfigurationNotFoundError'),
    lifecycle: error(404, 'NoSuchLifecycleConfiguration'),
  });
  assert.deepEqual(facts, [
    'it keeps no versions',
    'it has no Object Lock',
    'no rule aborts unfinished uploads: docs/install.md has one',
  ]);
});

test('what is set is said, with what follows from it', async () => {
  const facts = await factsOf({
    versioning: [200, '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'],
    'object-lock': [
      200,
      '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>',
    ],
    lifecycle: [200, `<LifecycleConfiguration>${ABORT_RULE}</LifecycleConfiguration>`],
  });
  assert.deepEqual(facts, [
    'it keeps versions: docs/s3.md has the rules that remove those of journals',
    'it has Object Lock, and holds nothing by default: leave checksums at when-supported',
    'a rule aborts unfinished uploads',
  ]);
});

test('a rule that is switched off aborts nothing, and what is refused or missing is not taken for an answer', async () => {
  const [, lock, rule] = await factsOf({
    versioning: [200, '<VersioningConfiguration/>'],
    'object-lock': error(403, 'AccessDenied'),
    lifecycle: [200, `<LifecycleConfiguration>${ABORT_RULE.replace('Enabled', 'Disabled')}</LifecycleConfiguration>`],
  });
  assert.equal(lock, 'it does not say whether it has Object Lock; that takes s3:GetBucketObjectLockConfiguration');
  assert.match(rule ?? '', /^no rule aborts/);
  const facts = await factsOf({
    versioning: error(404, 'NoSuchBucket'),
    'object-lock': error(404, 'NoSuchBucket'),
    lifecycle: error(501, 'NotImplemented'),
  });
  assert.ok(
    facts.every((fact) => fact.startsWith('it does not say whether')),
    facts.join(),
  );
});

test('a rule that erases manifests is named: one of an age, switched on, without a tag, that meets the prefix', async () => {
  const expiring = (filter: string, { status = 'Enabled', what = '<Days>400</Days>' } = {}): string =>
    `<Rule><ID>old data</ID><Status>${status}</Status>${filter}<Expiration>${what}</Expiration></Rule>`;
  const [tag, prefix] = ['<Tag><Key>kind</Key><Value>data</Value></Tag>', (text: string) => `<Prefix>${text}</Prefix>`];
  const erases = async (rule: string): Promise<boolean> => {
    const facts = await factsOf({
      versioning: [200, '<VersioningConfiguration/>'],
      'object-lock': error(404, 'ObjectLockConfigurationNotFoundError'),
      lifecycle: [200, `<LifecycleConfiguration>${ABORT_RULE}${rule}</LifecycleConfiguration>`],
    });
    const said = facts[2] ?? '';
    if (said === 'a rule aborts unfinished uploads') return false;
    assert.equal(said, 'a rule aborts unfinished uploads; manifests are erased by the lifecycle rule "old data"');
    return true;
  };
  const meets = ['', 'pg/', 'pg/orders/'].map((text) => `<Filter>${prefix(text)}</Filter>`);
  for (const filter of [...meets, prefix('pg/'), '<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>'])
    assert.ok(await erases(expiring(filter)), filter);
  for (const filter of [
    `<Filter>${prefix('logs/')}</Filter>`,
    `<Filter>${tag}</Filter>`,
    `<Filter><And>${prefix('pg/')}${tag}</And></Filter>`,
  ])
    assert.ok(!(await erases(expiring(filter))), filter);
  assert.ok(!(await erases(expiring('', { status: 'Disabled' }))));
  assert.ok(!(await erases(expiring('', { what: '<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>' }))));
});
