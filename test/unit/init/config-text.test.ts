import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../src/config/load.ts';
import { configText } from '../../../src/init/config-text.ts';
import { nameOf, type FoundTable } from '../../../src/init/look.ts';
import type { SuggestedArchive } from '../../../src/init/suggest.ts';
import { yamlReference, yamlText } from '../../../src/init/yaml.ts';

const ENVIRONMENT = { DATABASE_URL: 'postgres://app@localhost/app' };
const DATABASE = { name: 'app\n# x: 1', version: '18.4', role: 'we"ird', isStandby: false };

const HOSTILE = [
  '',
  ' ',
  'no',
  '1e5',
  '~',
  '${HOME}',
  '$${x}',
  "it's",
  'a: b # c',
  '- x',
  '*alias',
  'line\nbreak: 1',
  '\u2028\u0085\u0000\ufeff',
  'é{},[]',
  '"quoted"',
  'ends ',
  'http://h:9000/x',
];

function archiveOf(name: string, change: Partial<FoundTable> = {}, more: Partial<SuggestedArchive> = {}) {
  const table: FoundTable = {
    ...{ schema: 'public', name, bytes: 12 * 1024 ** 3, rows: 31_000_000, parts: 0, kind: 'table', key: ['id'] },
    time: { name: 'created_at', isIndexed: true, isPartitionKey: false, mayChange: false },
    ...change,
  };
  const archive: SuggestedArchive = {
    ...{ name, table, tableName: nameOf(table), window: 'day', againstPurge: [], purgeEffects: [] },
    ...more,
  };
  return archive;
}

function textOf(archives: SuggestedArchive[]): string {
  return configText({
    look: { database: DATABASE, others: 4980, unreadable: { names: ['public."x\ny"'], total: 3 } },
    ends: { source: '${DATABASE_URL}', destination: 's3://acme-archive/pg', region: 'eu-west-1' },
    environmentFile: '/etc/pgsluice/environment',
    suggestion: { archives, refused: [{ tableName: 'public.f', why: 'it is\nforeign', hint: undefined }] },
    timezone: 'Europe/Berlin',
    stateFolder: '/home/me/it is/state',
  });
}

describe('the text of a first config', () => {
  test('is an ordinary small file', () => {
    const text = textOf([
      archiveOf('events', {}, { againstPurge: ['purge-published: publication p sends out each delete'] }),
    ]);
    assert.equal(
      text.slice(text.indexOf('  # 12.0 GiB')),
      `  # 12.0 GiB; about 31,000,000 rows; key id; index on created_at
  events:
    table: public.events
    schedule: '15 2 * * *'
    timezone: Europe/Berlin
    # where: created_at < :slot - interval '90 days'
    # window: { column: created_at, every: day }
    # purge: { after: 7d } # as it is, refused:
    #   purge-published: publication p sends out each delete

  # Left out:
  #   public.f, which cannot be archived as it is: it is\\nforeign
  #   3 tables that the role we"ird may not read: public."x\\ny" and 2 more (GRANT SELECT ON … TO "we""ird")
  #   4,980 smaller tables; \`pgsluice init --table\` takes those that are named

http: { listen: 127.0.0.1:8432 } # the status page and the metrics
# state: /home/me/it is/state # history and socket of a daemon that you start yourself
`,
    );
  });

  test('names tables and columns as they are, whatever they are called', () => {
    const archives = HOSTILE.filter((name) => name !== '').map((name, at) =>
      archiveOf(name, { time: { name, isIndexed: true, isPartitionKey: false, mayChange: false } }, { name: `a${at}` }),
    );
    const text = textOf(archives);
    const taken = text.replaceAll(/^ {4}# window: /gm, '    window: ');
    const config = parseConfig('x', taken, ENVIRONMENT);
    for (const { name, tableName, table } of archives) {
      const archive = Object.entries(config.archives).find(([key]) => key === name)?.[1];
      assert.equal(archive?.table, tableName);
      assert.equal(archive.window?.column, table.time?.name);
    }
    const filtered = parseConfig('x', text.replaceAll(/^ {4}# where: /gm, '    where: '), ENVIRONMENT);
    assert.match(filtered.archives['a6']?.where ?? '', /^"it's" < :slot - interval '90 days'$/);
  });

  test('has proposals that the schema takes, of partitions as well', () => {
    const time = { name: 'at', isIndexed: false, isPartitionKey: true, mayChange: false };
    const text = textOf([archiveOf('p', { time, parts: 24, kind: 'partitioned' }, { window: 'partition' })]);
    assert.match(text, /key id; 24 partitions by at\n/);
    const config = parseConfig('x', text.replaceAll(/^ {4}# (window|purge): /gm, '    $1: '), ENVIRONMENT);
    assert.equal(config.archives['p']?.purge?.then, 'drop');
  });

  test('proposes no windows of a time that changes', () => {
    const time = { name: 'updated_at', isIndexed: true, isPartitionKey: false, mayChange: true };
    assert.doesNotMatch(textOf([archiveOf('events', { time })]), /# window:/);
  });
});

test('a value is written so that it is read as it is', () => {
  for (const value of HOSTILE.slice(1)) {
    const text = `sources: { default: { url: "\${DATABASE_URL}" } }
destinations: { default: { url: "file:///x" } }
archives:
  a:
    table: ${yamlText(value)}
`;
    assert.equal(parseConfig('x', text, ENVIRONMENT).archives['a']?.table, value, JSON.stringify(value));
  }
  assert.equal(yamlText('s3://acme-archive/pg'), 's3://acme-archive/pg');
  assert.equal(yamlText('http://127.0.0.1:9000'), 'http://127.0.0.1:9000');
});

test('a reference to a file stays one, whatever its path holds', () => {
  assert.equal(yamlReference('${DATABASE_URL}'), '${DATABASE_URL}');
  assert.equal(
    yamlReference('${file:/run/credentials/pgsluice.service/url}'),
    '${file:/run/credentials/pgsluice.service/url}',
  );
  for (const name of ['u #b', 'u: x', "it's", 'line\nbreak: 1']) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'pgsluice-init-'));
    const file = path.join(folder, name);
    writeFileSync(file, ENVIRONMENT.DATABASE_URL);
    try {
      const url = yamlReference(`\${file:${file}}`);
      const config = parseConfig(
        'x',
        `sources:\n  default:\n    url: ${url}\ndestinations: { default: { url: file:///x } }\narchives: { a: { table: t } }\n`,
        {},
      );
      assert.equal(config.sources['default']?.url, ENVIRONMENT.DATABASE_URL, name);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
});
