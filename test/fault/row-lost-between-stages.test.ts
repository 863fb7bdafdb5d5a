import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Loss } from '../support/lose-a-row.ts';
import { programWith } from '../support/program.ts';
import { createRows, RUN } from '../support/segments.ts';
import { failureOf, openSite, resultsOf, type Site } from '../support/site.ts';

const ROWS = 2000;

const LOSSES: { loss: Loss; reader: 'copy' | 'cursor'; what: string; counts: RegExp }[] = [
  {
    loss: 'copy-encoder',
    reader: 'copy',
    what: 'in the encoder of a COPY',
    counts: /2,000 rows were read, 2,000 encoded, and the object has 1,999 lines/,
  },
  {
    loss: 'text-encoder',
    reader: 'cursor',
    what: 'in the encoder of text',
    counts: /2,000 rows were read, 1,999 encoded, and the object has 1,999 lines/,
  },
  {
    loss: 'lines',
    reader: 'copy',
    what: 'between the encoder of a COPY and the compressor',
    counts: /2,000 rows were read, 2,000 encoded, and the object has 1,999 lines/,
  },
  {
    loss: 'lines',
    reader: 'cursor',
    what: 'between the encoder of text and the compressor',
    counts: /2,000 rows were read, 2,000 encoded, and the object has 1,999 lines/,
  },
];

describe('a row that gets lost between two stages', () => {
  let site: Site;

  before(async () => {
    site = await openSite();
    await createRows(site, 'whole', ROWS);
  });

  for (const { loss, reader, what, counts } of LOSSES)
    test(`${what} fails the run for good, before the object is visible`, async () => {
      const name = `${loss}-${reader}`.replaceAll('-', '_');
      const archive = { table: 'whole', read: reader, segments: { by: 'none' } };
      const config = await site.writeConfig({ archives: { [name]: archive }, workers: { threads: 1 } });
      const args = ['run', name, '--run-id', RUN, '--json'];
      const cli = site.start(args, config, { PGSLUICE_TEST_LOSES: loss }, programWith('lose-a-row'));
      const failure = failureOf(resultsOf(await cli.ended()));
      assert.deepEqual([failure.code, failure.stage, failure.transient], ['row-count-mismatch', 'encode', false]);
      assert.match(failure.message, counts);
      assert.ok(!cli.log.some(({ msg }) => msg.includes('tried again')), 'it would be lost again');
      await site.assertNothingLeft(name, RUN);
      assert.deepEqual(
        (await site.keys(name)).filter((key) => key.includes('/part-')),
        [],
      );
    });
});
