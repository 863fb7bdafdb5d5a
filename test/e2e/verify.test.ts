import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { crc32, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { verifyPass, type DueProof } from '../../src/audit/verify-pass.ts';
import { UsageError, type Failure } from '../../src/base/errors.ts';
import { verifyCommand } from '../../src/commands/verify.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Manifest } from '../../src/ledger/manifest.ts';
import { verifiedKey } from '../../src/ledger/names.ts';
import { withLock } from '../../src/run/lock.ts';
import type { Verification, VerifiedObject } from '../../src/verify/run.ts';
import { happened } from '../support/cli.ts';
import { commandInProcess, runInProcess } from '../support/in-process.ts';
import { recordTo } from '../support/record-log.ts';
import { createRows, partKey, putObject, removeObject, RUN, segmented } from '../support/segments.ts';
import { openSite, PREFIX, type Site } from '../support/site.ts';

const ROWS = 2000;

interface Report extends Omit<Verification, 'objects'> {
  objects: VerifiedObject[];
  archive: string;
  run: string | null;
  objectsTotal: number;
}

let site: Site;
let config: string;

const ARCHIVES: Record<string, object> = {
  gzip: segmented('rows', 'key', '24KiB'),
  zstd: segmented('rows', 'key', '24KiB', { compression: { codec: 'zstd' } }),
  none: segmented('rows', 'key', '24KiB', { compression: { codec: 'none' } }),
  pages: segmented('rows', 'pages', '24KiB'),
  whole: segmented('rows', 'pages', '1GiB', { segments: { by: 'none' } }),
  // Text sorts in the collation of the database; the numbers would not sort so.
  by_text: segmented('texts', 'key', '24KiB'),
  empty: segmented('nothing', 'key', '24KiB'),
  failed: segmented('rows', 'key', '24KiB'),
  idle: segmented('rows', 'key', '24KiB'),
};

before(async () => {
  site = await openSite();
  await createRows(site, 'rows', ROWS);
  await site.database.client.query(
    `CREATE TABLE nothing (id int PRIMARY KEY); CREATE TABLE texts (k text, at timestamptz, v json, "we""ird é" text[], PRIMARY KEY (at, k));
     INSERT INTO texts SELECT 'K"' || i || '\\', timestamptz '2026-01-01 00:00:00.5' + i % 50 * interval '1 s', '{"a" : [1e5,-0.1, {"ü":null}], "b":{} }', ARRAY[i::text, NULL]
       FROM generate_series(1, 2000) AS i; ANALYZE texts`,
  );
  config = await site.writeConfig({ archives: ARCHIVES });
  for (const archive of Object.keys(ARCHIVES).slice(0, -2)) {
    const { result } = await runInProcess(site, config, archive, RUN);
    assert.equal(result.status, 'committed', JSON.stringify(result.error));
    assert.ok(['whole', 'empty'].includes(archive) || result.objects >= 5, `${archive}: ${result.objects} objects`);
  }
});

async function verify(archive: string, ...args: string[]): Promise<{ code: number; report: Report; text: string }> {
  const { code, stdout } = await commandInProcess(site, config, (invocation) => {
    const [run, sample] = args[0] === '--sample' ? [undefined, args[1]] : args;
    return verifyCommand(invocation, archive, { ...(run && { run }), ...(sample && { sample }) });
  });
  assert.ok(stdout.startsWith('{'), `exit ${code}: ${stdout}`);
  const report = JSON.parse(stdout) as Report;
  const text = [...report.problems, ...report.objects.flatMap(({ problems }) => problems)]
    .map(({ line, message }) => `${line ?? ''}: ${message}`)
    .join('\n');
  return { code, report, text };
}

/** Changes an object for the time of `look`. */
async function withObject(
  key: string,
  change: (body: Buffer) => Buffer | undefined,
  look: () => Promise<void>,
): Promise<void> {
  const { body } = (await site.stored(key))!;
  const changed = change(Buffer.from(body));
  if (changed === undefined) await removeObject(site, key);
  else await putObject(site, key, changed);
  try {
    await look();
  } finally {
    await putObject(site, key, body);
  }
}

/** Checks that verify names this object and no other, and exits with 3. */
async function assertFound(archive: string, key: string, message: RegExp, line?: number): Promise<Report> {
  const { code, report, text } = await verify(archive);
  assert.equal(code, 3);
  assert.equal(report.ok, false);
  const bad = report.objects.filter(({ ok }) => !ok);
  assert.deepEqual(
    bad.map((object) => object.key),
    [key],
    text,
  );
  assert.match(text, message);
  if (line !== undefined)
    assert.ok(
      bad[0]!.problems.some((problem) => problem.line === line && message.test(`${problem.line}: ${problem.message}`)),
      text,
    );
  return report;
}

const flipBit = (body: Buffer): Buffer => {
  body.writeUInt8(body.readUInt8(body.length >> 1) ^ 1, body.length >> 1);
  return body;
};

describe('verify', () => {
  for (const archive of ['gzip', 'zstd', 'none', 'pages', 'whole', 'by_text', 'empty']) {
    test(`proves what was archived: ${archive}`, async () => {
      const { code, report, text } = await verify(archive, RUN);
      assert.equal(code, 0, text);
      const manifest = (await site.manifest(archive, RUN))!;
      assert.deepEqual(
        { ...report, objects: report.objects.length, seconds: undefined },
        {
          archive,
          run: RUN,
          ok: true,
          rows: manifest.rows,
          jsonBytes: manifest.jsonBytes,
          bytes: manifest.bytes,
          objectsRead: manifest.objects.length,
          objectsTotal: manifest.objects.length,
          objects: manifest.objects.length,
          problems: [],
          seconds: undefined,
        },
      );
      assert.deepEqual(
        report.objects,
        manifest.objects.map(({ key }) => ({ key, ok: true, read: true, problems: [] })),
      );
    });
  }

  test('says in words what it read, and what differs where', async () => {
    const good = await site.here(['verify', 'gzip'], config);
    assert.equal(good.code, 0);
    assert.match(good.stdout, new RegExp(`^gzip ${RUN}: verified, 2,000 rows in \\d+ objects, `));
    const key = partKey('none', 2, 'jsonl');
    await withObject(
      key,
      (body) => Buffer.from(body.toString().replace(',"v":', ',"w":')),
      async () => {
        const { code, stdout } = await site.here(['verify', 'none'], config);
        assert.equal(code, 3);
        assert.match(stdout, new RegExp(`^none ${RUN}: different`));
        assert.match(stdout, new RegExp(`^  ${key}: line 1: at byte \\d+ comes w, not ,"v":$`, 'm'));
      },
    );
  });

  test('takes the latest committed run, whatever failed after it', async () => {
    const later = '20261124T021500Z';
    await runInProcess(site, config, 'idle', RUN);
    await runInProcess(site, config, 'idle', later);
    const refused = site.proxy.order(
      'PutObject',
      { kind: 'error', status: 403, code: 'AccessDenied' },
      9,
      '_manifest.json',
    );
    const { result } = await runInProcess(site, config, 'idle', '20261125T021500Z');
    refused.cancel();
    assert.equal(result.status, 'failed');
    assert.equal((await verify('idle')).report.run, later);
    assert.equal((await verify('idle', RUN)).report.run, RUN);
    const { code, report } = await verify('idle', '20261125T021500Z');
    assert.equal(code, 3);
    assert.match(report.problems[0]!.message, /not committed/);
  });

  test('exits with 3 when there is no committed run, and with 2 for what is no archive, run or number', async () => {
    const { code, report } = await verify('failed');
    assert.deepEqual([code, report.run, report.ok], [3, null, false]);
    assert.match(report.problems[0]!.message, /no committed run/);
    const missing = await site.here(['verify', 'gzip', '20200101T000000Z'], config);
    assert.deepEqual([missing.code, missing.stdout], [2, '']);
    const named = new RegExp(
      `^archive gzip has no run 20200101T000000Z in s3:.*; the latest committed run is ${RUN}\n$`,
    );
    assert.match(missing.stderr, named);
    for (const args of [['gzap'], ['gzip', 'yesterday'], ['gzip', '--sample', '0'], ['gzip', '--sample', 'few'], []])
      assert.equal((await site.here(['verify', ...args], config)).code, 2, args.join(' '));
  });

  for (const [codec, extension] of [
    ['gzip', 'jsonl.gz'],
    ['zstd', 'jsonl.zst'],
    ['none', 'jsonl'],
  ] as const) {
    describe(`of ${codec} says which object`, () => {
      const key = partKey(codec, 3, extension);

      test('was cut', async () => {
        const whole = codec === 'none' ? /last line has no end/ : /damaged: unexpected end.*after \d+ whole lines/;
        await withObject(
          key,
          (body) => body.subarray(0, body.length * 0.7),
          async () => {
            const { problems } = (await assertFound(codec, key, whole)).objects[3]!;
            for (const figure of [/bytes, the manifest says/, /SHA-256/, /lines, the manifest says/, /CRC-32/])
              assert.ok(
                problems.some(({ message }) => figure.test(message)),
                `${figure}`,
              );
          },
        );
      });

      test('has one bit that changed', async () => {
        await withObject(key, flipBit, async () => {
          await assertFound(codec, key, /SHA-256/);
        });
      });

      test('was replaced by another object of the run', async () => {
        const { body: other } = (await site.stored(partKey(codec, 4, extension)))!;
        await withObject(
          key,
          () => other,
          async () => {
            await assertFound(codec, key, /1: the first key is \(\d+\), the manifest says \(\d+\)/, 1);
          },
        );
      });

      test('was replaced by one of the same content', async () => {
        const pack = {
          gzip: (body: Buffer) => gzipSync(body, { level: 1 }),
          zstd: zstdCompressSync,
          none: (body: Buffer) => body,
        }[codec];
        const unpack = { gzip: gunzipSync, zstd: zstdDecompressSync, none: (body: Buffer) => body }[codec];
        if (codec === 'none') return;
        await withObject(
          key,
          (body) => pack(unpack(body)),
          async () => {
            await assertFound(codec, key, /SHA-256/);
          },
        );
      });

      test('is gone', async () => {
        await withObject(
          key,
          () => undefined,
          async () => {
            await assertFound(codec, key, /it is not there/);
            // No sample was asked for, and nothing is said to have been read that was not.
            const { code, stdout } = await site.here(['verify', codec, RUN], config);
            assert.equal(code, 3);
            const [, read = '', all = ''] =
              /different; read: (\d+) of (\d+) objects, by the manifest /.exec(stdout) ?? [];
            assert.deepEqual([all !== '', Number(read)], [true, Number(all) - 1], stdout);
          },
        );
      });

      test('has something after its end', async () => {
        await withObject(
          key,
          (body) => Buffer.concat([body, body.subarray(0, 40)]),
          async () => {
            // The frame of the token, 12 bytes, is no longer the last thing of the zstd object.
            const found = { gzip: /40 bytes follow/, zstd: /52 bytes follow/, none: /lines|no end/ };
            await assertFound(codec, key, found[codec]);
          },
        );
      });

      test('is one byte', async () => {
        await withObject(
          key,
          (body) => body.subarray(0, 1),
          async () => {
            await assertFound(codec, key, codec === 'none' ? /no end/ : /damaged|does not begin/);
          },
        );
      });
    });
  }

  for (const [what, change, line, message] of [
    ['is no JSON', (text: string) => text.replace(/("v":"[^"]*)"/, '$1'), 1, /comes the end of the line/],
    ['has a column too many', (text: string) => text.replace(/\}\n/, ',"w":1}\n'), 1, /comes ,/],
    ['lacks a column', (text: string) => text.replace(/,"v":"[^"]*"/, ''), 1, /not ,"v":/],
    ['is two', (text: string) => text.replace('}\n', '}\n{}\n'), 2, /not "id"|not \{"id":/],
    ['is blank', (text: string) => text.replace('}\n', '}\n\n'), 2, /comes the end of the line/],
    ['holds half a character', (text: string) => text.replace('é', '\u0001\u0002'), 1, /UTF-8/],
  ] as const) {
    test(`says which line ${what}`, async () => {
      const key = partKey('gzip', 2);
      const repack = (body: Buffer): Buffer =>
        gzipSync(
          Buffer.from(change(gunzipSync(body).toString()).replace('\u0001\u0002', '\u00e9'), 'utf8').map(
            (byte, at, all) => (what.startsWith('holds') && byte === 0xa9 && at === all.indexOf(0xa9) ? 0x41 : byte),
          ),
        );
      await withObject(key, repack, async () => {
        await assertFound('gzip', key, message, line);
      });
    });
  }

  test('names twenty differences of an object, and counts the others', async () => {
    const key = partKey('none', 1, 'jsonl');
    await withObject(
      key,
      (body) => Buffer.from(body.toString().replaceAll('"id":', '"Id":')),
      async () => {
        const report = await assertFound('none', key, /further differences?/);
        assert.equal(report.objects[1]!.problems.length, 21);
      },
    );
  });

  test('finds objects that the manifest does not name, and minds neither the journal nor other names of ours', async () => {
    const folder = `${PREFIX}pages/run=${RUN}/`;
    const [stray, deep] = [`${folder}part-00099.jsonl.gz`, `${folder}sub/x.jsonl`];
    for (const name of [stray, deep, `${folder}_pgsluice/plan.json`, `${folder}_SUCCESS`])
      await putObject(site, name, Buffer.from('{}'));
    const { code, report, text } = await verify('pages');
    for (const name of [stray, deep, `${folder}_pgsluice/plan.json`, `${folder}_SUCCESS`])
      await removeObject(site, name);
    assert.equal(code, 3);
    assert.deepEqual(
      report.objects.filter(({ ok }) => !ok).map(({ key }) => key),
      [stray, deep],
    );
    assert.match(text, /does not name/);
  });

  test('finds folders that a glob would read beside those of the runs, and minds none that readers skip', async () => {
    const names = [`${PREFIX}pages/run=copy of ${RUN}/part-00000.jsonl.gz`, `${PREFIX}pages/_old/part-00000.jsonl.gz`];
    for (const name of names) await putObject(site, name, Buffer.from('{}'));
    const { code, report } = await verify('pages');
    for (const name of names) await removeObject(site, name);
    assert.equal(code, 3);
    const message = `pages/run=copy of ${RUN}/ is no run folder and holds data: who reads the archive by a glob reads its rows too`;
    assert.deepEqual(report.problems, [{ message }]);
  });

  describe('compares the manifest with itself:', () => {
    const key = `${PREFIX}gzip/run=${RUN}/_manifest.json`;
    const changed = (change: (manifest: Manifest) => void) => (body: Buffer) => {
      const manifest = JSON.parse(body.toString()) as Manifest;
      change(manifest);
      return Buffer.from(JSON.stringify(manifest));
    };
    for (const [what, change, message] of [
      ['its totals', (manifest: Manifest) => (manifest.rows += 1), /2,001 rows, its objects together have 2,000/],
      [
        'ranges of keys in another order',
        (manifest: Manifest) => manifest.objects.reverse(),
        /does not lie above the last/,
      ],
      [
        'ranges of keys that touch',
        ({ objects }: Manifest) => (objects[1]!.firstKey = objects[0]!.lastKey),
        /does not lie above the last/,
      ],
      ['an object that is named twice', ({ objects }: Manifest) => objects.push(objects[0]!), /named twice/],
      [
        'an object that it does not name',
        ({ objects }: Manifest) => objects.splice(2, 1),
        /not name part-00002: it is/,
      ],
      [
        'an object of another folder',
        ({ objects }: Manifest) => (objects[0]!.key = 'elsewhere/part-00000.jsonl.gz'),
        /does not lie in/,
      ],
      ['another archive', (manifest: Manifest) => (manifest.archive = 'zstd'), /that of zstd/],
      [
        'an object without its figures',
        ({ objects }: Manifest) => Reflect.deleteProperty(objects[0]!, 'sha256'),
        /no manifest of the format/,
      ],
    ] as const) {
      test(what, async () => {
        await withObject(
          key,
          changed((manifest) => void change(manifest)),
          async () => {
            const { code, text } = await verify('gzip');
            assert.equal(code, 3);
            assert.match(text, message);
          },
        );
      });
    }

    test('what is no JSON', async () => {
      await withObject(
        key,
        (body) => body.subarray(0, 100),
        async () => {
          const { code, text } = await verify('gzip', RUN);
          assert.equal(code, 3);
          assert.match(text, /no manifest of the format/);
        },
      );
    });
  });

  test('reads a sample when asked: the first, the last and some between, and looks all others up', async () => {
    const { objects } = (await site.manifest('gzip', RUN))!;
    site.proxy.reset();
    const { code, report } = await verify('gzip', '--sample', '3');
    assert.equal(code, 0);
    const read = new Set(
      site.proxy
        .seen('GetObject')
        .map((request) => request.key)
        .filter((name) => name.includes('/part-')),
    );
    const keys = objects.map((object) => object.key);
    assert.deepEqual([...read].sort(), [keys[0], keys[Math.round((keys.length - 1) / 2)], keys.at(-1)].sort());
    assert.equal(report.objectsRead, 3);
    assert.equal(report.objectsTotal, keys.length);
    assert.match((await site.here(['verify', 'gzip', '--sample', '2'], config)).stdout, /a sample of 2 of \d+ objects/);
    await withObject(keys[1]!, flipBit, async () => {
      assert.equal((await verify('gzip', '--sample', '2')).code, 0);
    });
    await withObject(
      keys[1]!,
      (body) => body.subarray(1),
      async () => {
        assert.match((await verify('gzip', '--sample', '2')).text, /was not read/);
      },
    );
    await withObject(
      keys[1]!,
      () => undefined,
      async () => {
        assert.equal((await verify('gzip', '--sample', '2')).code, 3);
      },
    );
  });

  test('tries again when the connection breaks in mid-object, and calls an endpoint that is down no difference', async () => {
    site.proxy.order('GetObject', { kind: 'cut-answer', afterBytes: 500 }, 1, 'part-00001.jsonl');
    site.proxy.order('GetObject', { kind: 'error', status: 503, code: 'SlowDown' }, 4, 'part-00002.jsonl');
    assert.equal((await verify('none')).code, 0);
    await site.proxy.down();
    const ending = await site.here(['verify', 'none', '--json'], config);
    await site.proxy.up();
    assert.equal(ending.code, 1);
    assert.equal(ending.stdout, '');
    assert.match(ending.stderr, /connection-refused\)\n(?: {2}cause .*\n)? {2}hint {3}Check that 127\.0\.0\.1/);
  });

  test('ends with 130 when it is interrupted', async () => {
    const stalled = site.proxy.order('GetObject', { kind: 'stall' }, 1, 'part-00001.jsonl.gz');
    const cli = site.start(['verify', 'gzip'], config);
    await happened(stalled);
    cli.kill('SIGINT');
    assert.equal((await cli.ended()).code, 130);
  });
});

describe('verify --chain', () => {
  const chain = (json: boolean, options: object = {}) =>
    commandInProcess(site, config, (invocation) =>
      verifyCommand({ ...invocation, json }, 'gzip', { chain: true, ...options }),
    );

  test('prints the head, and exits with 3 when a manifest is gone or a noted head is not in it', async () => {
    const key = `${PREFIX}gzip/run=${RUN}/_manifest.json`;
    const { body } = (await site.stored(key))!;
    const head = createHash('sha256').update(body).digest('hex');
    const { code, stdout } = await chain(true, { head: head.toUpperCase() });
    assert.deepEqual(
      [code, JSON.parse(stdout)],
      [
        0,
        {
          archive: 'gzip',
          ok: true,
          head: { run: RUN, sha256: head },
          runs: 1,
          beforeChain: [],
          notes: [],
          problems: [],
        },
      ],
    );
    const told = await chain(false);
    assert.equal(told.stdout, `gzip: the chain is whole, 1 run\n  head: ${head}, run ${RUN}\n`);
    assert.equal((await chain(true, { head: '0'.repeat(64) })).code, 3);
    await withObject(
      key,
      () => undefined,
      async () => {
        const different = await chain(false);
        assert.equal(different.code, 3);
        assert.match(
          different.stdout,
          new RegExp(`the chain is different[^]*removed: the manifest of run ${RUN} is not there`),
        );
      },
    );
  });

  for (const [what, options] of [
    ['a run', { run: RUN }],
    ['a sample', { sample: '3' }],
    ['a digest that is none', { head: 'latest' }],
    ['a head without a chain', { chain: false, head: '0'.repeat(64) }],
  ] as const)
    test(`refuses ${what}`, async () => {
      await assert.rejects(chain(false, options), UsageError);
    });
});

test('standing verification leaves a run to the host that is proving it, and proves the others', async () => {
  const loaded = loadConfig(config, site.environment);
  const archives = Object.fromEntries(['gzip', 'zstd'].map((name) => [name, loaded.archives[name]!]));
  const pass = async (): Promise<string[]> => {
    const begun: string[] = [];
    const hooks = {
      found: () => undefined,
      failed: (_archive: string, failure: Failure) => assert.fail(failure.message),
      begin: ({ archive }: DueProof) => void begun.push(archive),
      progress: () => undefined,
      end: () => undefined,
    };
    const signal = new AbortController().signal;
    const parts = { config: () => ({ ...loaded, archives }), log: recordTo([]), signal, memory: new Map(), hooks };
    const audit = { schedule: '0 5 * * *', everyMs: 3_600_000, atMostBytes: 1e9 };
    await verifyPass({ ...parts, foundDifferentMs: () => undefined }, audit);
    return begun;
  };
  const source = loaded.sources['default']!;
  const folderUrl = `s3://archive/${PREFIX}${verifiedKey('gzip', RUN)}`;
  const begun = await withLock({ source, archive: 'gzip', folderUrl }, pass);
  assert.deepEqual([begun, await pass()], [['zstd'], ['gzip']]);
});

describe('verify of a line of 300 MB', () => {
  const folder = 'wide-line';
  const PIECES = 300;
  let peakBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  after(() => {
    clearInterval(timer);
  });

  test('takes no more memory than that of a short one', async () => {
    const root = path.join(site.folder, folder);
    const wide = await site.writeConfig({
      destinations: { default: { url: `file://${root}` } },
      archives: { wide: { table: 'rows', compression: { codec: 'gzip' } } },
    });
    const { result } = await runInProcess(site, wide, 'wide', RUN);
    const file = path.join(root, 'wide', `run=${RUN}`, 'part-00000.jsonl.gz');
    const piece = Buffer.alloc(1e6, 'x\\n');
    const lines = Buffer.concat([
      Buffer.from('{"id":1,"v":"'),
      ...Array.from({ length: PIECES }, () => piece),
      Buffer.from('"}\n'),
    ]);
    const body = gzipSync(lines, { level: 1 });
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, body);
    const manifestFile = new URL(result.manifest!);
    const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as Manifest;
    const figures = { rows: 1, jsonBytes: lines.length, bytes: body.length };
    Object.assign(manifest, figures);
    Object.assign(manifest.objects[0]!, figures, {
      sha256: createHash('sha256').update(body).digest('hex'),
      crc32: crc32(lines).toString(16).padStart(8, '0'),
      firstKey: ['1'],
      lastKey: ['1'],
    });
    await writeFile(manifestFile, JSON.stringify(manifest));
    const cli = site.start(['verify', 'wide', '--json'], wide);
    timer = setInterval(() => void notePeak(cli.pid), 20);
    const { code, stdout, stderr } = await cli.ended();
    assert.equal(code, 0, stdout + stderr);
    assert.ok(peakBytes > 30e6 && peakBytes < 200e6, `peak RSS ${peakBytes}`);
  });

  async function notePeak(pid: number): Promise<void> {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const [, kib = '0'] = /VmHWM:\s+(\d+)/.exec(status) ?? [];
    peakBytes = Math.max(peakBytes, Number(kib) * 1024);
  }
});
