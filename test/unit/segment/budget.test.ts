import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { constants, createDeflateRaw, createZstdCompress, gzipSync } from 'node:zlib';
import { BUDGET, widestLinesBytes } from '../../../src/base/memory-budget.ts';
import { compress } from '../../../src/format/compress/compress.ts';
import { isalProblem } from '../../../src/format/compress/isal.ts';
import { createUnpacker } from '../../../src/format/compress/unpack.ts';
import { LineBuffer } from '../../../src/format/jsonl/line-buffer.ts';
import { scanMemory } from '../../../src/format/jsonl/scan/scan-memory.ts';
import { lendBuffers, plainBuffers } from '../../../src/format/jsonl/write/binary/encode-memory.ts';
import { TABLES_END } from '../../../src/format/jsonl/write/binary/wasm/places.ts';
import { TextEncoder } from '../../../src/format/jsonl/write/text-encoder.ts';
import { ContentProof } from '../../../src/format/proof.ts';
import type { Column } from '../../../src/postgres/columns.ts';
import { zstdTableBytes, zstdWindowBytes } from '../../../src/base/zstd-levels.ts';
import { skipWithout } from '../../support/needs.ts';

/** Stages show here that they allocate by the budget; those that need a server show it in the tests of the store. */
const SRC = fileURLToPath(new URL('../../../src/', import.meta.url));

/** Numbers of a size that are no memory, or none outside of a heap, by file. */
const OTHER_SIZES: Record<string, string> = {
  'segment/restore/read-rows.ts': 'the least that a small object is unpacked into, which is below the budget of one',
  'segment/source/row-reader.ts': 'the part of a message that is looked at, in the window',
  'segment/source/wide-row.ts': 'steps through the window',
  'segment/verify/object.ts': 'a surplus of bytes that are counted, and not held',
  'store/s3/parts.ts': 'what the first part begins with, in place of a whole one',
  'segment/source/cursor.ts': 'rows, which lie in the heap',
  'format/jsonl/write/text-encoder.ts': 'characters, which lie in the heap',
  'format/jsonl/wasm.ts': 'a page of a memory',
  'format/jsonl/key-value.ts': 'a key, which is looked at in the main process',
  'format/compress/zlib.ts': 'how far back deflate looks, in the block before',
  'store/s3/bound-answers.ts': 'the most that the text of an answer may have, which is no buffer',
  'store/s3/client.ts': 'a speed',
};

async function* once(content: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield content;
}

/** Text that hardly can be compressed. */
function noise(bytes: number): Buffer {
  let state = 1;
  return Buffer.from(
    Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return 0x20 + ((state >>> 16) % 90);
    }),
  );
}

describe('the stages allocate by the budget', () => {
  test('the tables of the encoder, the window and the buffers of lines', () => {
    assert.ok(TABLES_END <= BUDGET.encode.tableBytes);
    for (const { window, lines } of [lendBuffers(), plainBuffers()]) {
      assert.equal(window.length, BUDGET.read.windowBytes);
      assert.deepEqual(
        lines.map(({ length }) => length),
        Array.from({ length: BUDGET.lines.buffers }, () => BUDGET.lines.bytes),
      );
    }
  });

  test('the lines that are checked at once, and what else is in that memory', () => {
    const { content, words } = scanMemory() ?? assert.fail('there is no WebAssembly with SIMD here');
    assert.equal(content.length, BUDGET.scan.contentBytes);
    assert.equal(words.byteLength, BUDGET.scan.contentBytes + BUDGET.scan.tableBytes);
  });

  test('what a buffer of lines grows to, and not beyond', () => {
    const lines = new LineBuffer(plainBuffers().lines);
    const room = BUDGET.lines.bytes - 1;
    lines.add(new Uint8Array(room));
    lines.reserve(2);
    assert.equal(lines.bytes.length, widestLinesBytes(BUDGET));
    lines.reserve(widestLinesBytes(BUDGET) - room);
    assert.throws(() => {
      lines.reserve(widestLinesBytes(BUDGET) - room + 1);
    }, /more than a buffer of lines takes/);
  });

  for (const engine of ['isal', 'zlib', 'zstd'] as const)
    test(
      `slices of ${engine}`,
      { skip: engine === 'isal' && skipWithout('libisal.so.2', isalProblem() ?? false) },
      async () => {
        const content = noise(BUDGET.lines.fullBytes);
        const proof = new ContentProof();
        proof.add(content);
        let largest = 0;
        let bytes = 0;
        for await (const slice of compress(once(content), { engine, level: 3 }, proof)) {
          largest = Math.max(largest, slice.length);
          bytes += slice.length;
        }
        assert.ok(bytes > 2 * BUDGET.slice.bytes, `only ${bytes} bytes came`);
        assert.equal(largest, BUDGET.slice.bytes);
      },
    );

  for (const [inflater, bytes] of [
    ['zlib', BUDGET.unpack.contentBytes],
    ['isal', BUDGET.inflate.outputBytes],
  ] as const)
    test(
      `content that ${inflater} takes out of its compression`,
      { skip: inflater === 'isal' && skipWithout('libisal.so.2', isalProblem() ?? false) },
      async () => {
        let largest = 0;
        const onContent = (content: Buffer): void => {
          largest = Math.max(largest, content.length);
        };
        const unpacker = createUnpacker('gzip', { contentBytes: Infinity, windowBytes: 0 }, onContent, inflater);
        await unpacker.write(gzipSync(Buffer.alloc(4 * bytes)));
        assert.equal(await unpacker.end(), undefined);
        assert.equal(largest, bytes);
      },
    );

  test('the longest pieces of the text encoder fit into a buffer that is nearly full', () => {
    const columns = ['a', 'b'].map((name): Column => {
      return {
        name,
        type: 'text',
        typeOid: 25,
        baseTypeOid: 25,
        elementTypeOid: null,
        isEnum: false,
        nullable: true,
        encoding: 'string',
      };
    });
    // Characters of three bytes up to where a piece would be handed on, then ones that become six.
    const row = ['日'.repeat(65_520), '\u0001'.repeat(65_535)];
    const sizes = [...new TextEncoder(columns).encode([row])].map(({ length }) => length);
    assert.ok(Math.max(...sizes) > 500_000, 'the row is not the worst one');
    assert.ok(Math.max(...sizes) <= BUDGET.lines.longestBytes, `${Math.max(...sizes)} bytes`);
  });

  test('nothing that is as large is declared elsewhere in the data plane', () => {
    const files = ['segment', 'format', 'store'].flatMap((room) => globSync(`${room}/**/*.ts`, { cwd: SRC }));
    assert.ok(files.length > 50);
    const found = files
      .map((file) => file.replaceAll(path.sep, '/'))
      .filter((file) => /\b1024\b|\bKIB\b|\bMIB\b/i.test(readFileSync(path.join(SRC, file), 'utf8')));
    assert.deepEqual(found.sort(), Object.keys(OTHER_SIZES).sort());
  });
});

test('what zlib and zstd allocate by themselves is what the budget says, or less', async () => {
  const text = Buffer.from(`{"id":1,"text":"${'the same '.repeat(50)}"}\n`.repeat(1000));
  for (const [create, bytes] of [
    [() => createDeflateRaw({ level: 6, memLevel: 9, chunkSize: 1024 }), BUDGET.deflate.stateBytes],
    ...[1, 3, 9].map((level) => {
      const params = { [constants.ZSTD_c_compressionLevel]: level };
      const bytes = BUDGET.zstd.stateBytes + zstdWindowBytes(level) + zstdTableBytes(level);
      return [() => createZstdCompress({ chunkSize: 1024, params }), bytes] as const;
    }),
  ] as const) {
    const streams = Array.from({ length: 40 }, create);
    const before = process.memoryUsage.rss();
    for (const stream of streams) {
      stream.resume();
      for (let writes = 0; writes < 8; writes += 1) await new Promise((resolve) => stream.write(text, resolve));
    }
    const each = (process.memoryUsage.rss() - before) / streams.length;
    for (const stream of streams) stream.destroy();
    assert.ok(each <= bytes, `${Math.round(each / 1024)} KiB each, and the budget has ${bytes / 1024}`);
  }
});
