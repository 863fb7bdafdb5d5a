/** The page is never blank: a part that fails takes no other down, and no text from outside is more than a text. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { assertAccessible, assertNoSidewaysScroll, reasonForNoBrowser } from '../support/browser.ts';
import { eventually } from '../support/cli.ts';
import { openPageOf } from '../support/page.ts';
import {
  allStates,
  archiveOf,
  at,
  detailOf,
  FAILURE,
  historyOf,
  HOSTILE,
  runningRun,
  segmentOf,
} from '../support/page-facts.ts';

const noBrowser = reasonForNoBrowser();
/** A million characters, with a beginning that can be looked for. */
const LONG = `a long text${' and more of it'.repeat(71_428)}`;
/** Turns what follows around, moves the cursor, and ends a line. */
const MARKS = 'marks\u202egnp.exe\u0007\u001b[2J\u200f\ud800 end';
const MARKS_SHOWN = String.raw`marks\u202egnp.exe\u0007\u001b[2J\u200f\ud800 end`;

describe('a part of the page that fails', { skip: noBrowser ?? false, concurrency: 4 }, () => {
  test('is none under the language of a machine without one, en-US@posix', async () => {
    const prepare = (page: Page): Promise<unknown> =>
      page.addInitScript(`Object.defineProperty(Navigator.prototype, 'language', { get: () => 'en-US@posix' })`);
    const { page, complaints } = await openPageOf({ archives: allStates() }, { prepare });
    await page.locator('.chart canvas').waitFor();
    await page.getByRole('article', { name: 'fetch_queue' }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('is the chart alone when its library throws as it loads', async () => {
    const body = `throw new RangeError('Incorrect locale information provided')`;
    const prepare = (page: Page): Promise<unknown> =>
      page.route('**/assets/uplot.js', (route) => route.fulfill({ contentType: 'text/javascript', body }));
    const { page } = await openPageOf({ archives: allStates(), runs: historyOf(['sessions']) }, { prepare });
    await page.getByText('The chart cannot be drawn: RangeError: Incorrect locale').waitFor();
    await page.getByText('173 MiB', { exact: true }).waitFor();
    await assertOthersGoOn(page);
    await assertAccessible(page);
  });

  test('says so in its place until it can be shown again, and the others go on', async () => {
    const { page, daemon, complaints } = await openPageOf({
      archives: allStates(),
      runs: historyOf(['sessions']),
      lie: (state) => ({ ...state, memory: { ...state.memory, samples: null as never } }),
    });
    await page.getByText('Memory cannot be shown: TypeError').waitFor();
    await assertOthersGoOn(page);
    daemon.say({ lie: (state) => state });
    await page.getByText('Memory cannot be shown').waitFor({ state: 'detached' });
    await page.locator('.chart canvas').waitFor();
    daemon.say({ lie: (state) => ({ ...state, archives: null as never }) });
    await page.getByText('The list of archives cannot be shown: TypeError').waitFor();
    await page.getByText('The history cannot be shown: TypeError').waitFor();
    await page.getByText(/^Live · /).waitFor();
    assert.equal(await page.locator('.chart canvas').isVisible(), true);
    assert.deepEqual(complaints, []);
  });

  test('leaves a word of what to do where no script runs', async () => {
    const prepare = (page: Page): Promise<unknown> => page.route('**/assets/page.js', (route) => route.abort());
    const { page } = await openPageOf({ archives: allStates() }, { prepare });
    await page.getByText('The same facts are at /api/state').waitFor();
  });
});

async function assertOthersGoOn(page: Page): Promise<void> {
  await page.getByRole('article', { name: 'page_views' }).getByText(FAILURE.hint).waitFor();
  await page.getByRole('progressbar', { name: 'Progress of fetch_queue' }).waitFor();
  await page
    .getByRole('row', { name: /sessions .* Committed/ })
    .first()
    .waitFor();
  await page.getByText(/^Live · /).waitFor();
}

const WIDE = ['wide', {}] as const;
const NARROW = ['narrow', { viewport: { width: 320, height: 700 } }] as const;

for (const [what, text, shown, widths] of [
  ['markup', HOSTILE, HOSTILE, [WIDE]],
  ['marks of direction and control characters', MARKS, MARKS_SHOWN, [WIDE]],
  ['a million characters', LONG, 'a long text and more of it', [WIDE, NARROW]],
] as const) {
  describe(`a text from outside that is ${what}`, { skip: noBrowser ?? false }, () => {
    const failure = { code: text, message: text, hint: text };
    // One that failed; all texts of an answer must be less than the server has unsent at once.
    /** A server that has as much unsent as it may says so to the next request, and the page asks again. */
    const isOfThePage = (complaint: string): boolean => text !== LONG || !complaint.includes('status of 503');
    const runs = historyOf([text], 6)
      .filter((run) => run.error !== null)
      .map((run) => ({ ...run, error: failure }));
    const facts = {
      archives: [
        archiveOf(
          text,
          { health: 'failing', lastFailure: { ...FAILURE, ...failure, at: at(0).toISOString() } },
          { table: text, current: runningRun(text) },
        ),
        ...allStates(),
      ],
      host: text,
      runs,
      canAct: true,
      detail: detailOf({
        archive: text,
        status: 'failed',
        segments: [segmentOf(0, 'failed', { error: failure })],
        error: failure,
        destinationError: text,
        manifest: { ...detailOf().manifest!, table: text, host: text, primaryKey: [text] },
        attempts: runs,
      }),
    };

    for (const [width, options] of widths) {
      test(`is shown as a text in the overview, ${width}`, async () => {
        const { page, complaints } = await openPageOf(facts, options);
        const article = page.getByRole('article').filter({ has: page.locator('h3', { hasText: shown }) });
        await article.locator('.failure-message').getByText(shown).waitFor();
        await page.getByRole('row').filter({ hasText: shown }).first().waitFor();
        await assertCalm(page);
        assert.deepEqual(complaints.filter(isOfThePage), []);
      });

      test(`is shown as a text of a run, ${width}`, async () => {
        const { page, complaints } = await openPageOf(facts, options, '#/runs/events/20261122T021500Z');
        await page.getByText('Why it failed').waitFor();
        await page.locator('.panel.failure .failure-message').getByText(shown).waitFor();
        await page.locator('td .failure-message').getByText(shown).waitFor();
        await page.locator('.json').getByText(shown).first().waitFor();
        await assertCalm(page);
        assert.deepEqual(complaints.filter(isOfThePage), []);
      });
    }
  });
}

/** Nothing ran, nothing is turned around, the layout holds, and no part fills the page with one text. */
async function assertCalm(page: Page): Promise<void> {
  await assertNoSidewaysScroll(page);
  assert.notEqual(await page.title(), 'stolen');
  assert.equal(await page.locator('main img').count(), 0);
  const facts = await page.evaluate<{ text: string; longest: number; tallest: number }>(`({
    text: document.body.textContent,
    longest: Math.max(...[...document.querySelectorAll('body *')].map((element) =>
      [...element.childNodes].filter(({ nodeType }) => nodeType === 3).map(({ data }) => data.length)).flat()),
    tallest: Math.max(...[...document.querySelectorAll('article, td, .failure, .attempts li, .run-title')]
      .map((element) => element.getBoundingClientRect().height)),
  })`);
  assert.doesNotMatch(facts.text, /[\0-\x08\x0e-\x1f\x7f\p{Bidi_Control}]/u);
  assert.ok(facts.longest < 2000, `a text of ${facts.longest} characters is shown`);
  assert.ok(facts.tallest < 1600, `a part is ${facts.tallest} px tall`);
}

test(
  'a long message is whole in its fold, which stays open when the state comes again',
  { skip: noBrowser ?? false },
  async () => {
    const archives = [
      archiveOf('events', { health: 'failing', lastFailure: { ...FAILURE, message: LONG, at: at(0).toISOString() } }),
    ];
    const { page, daemon } = await openPageOf({ archives });
    const fold = page.locator('.failure-message details');
    await fold.locator('summary').click();
    const whole = fold.locator('.whole');
    await eventually('the whole text is there', async () => (await whole.textContent()) === LONG);
    daemon.say({ host: 'another-name' });
    await page.getByText('another-name').waitFor();
    assert.equal(await fold.getAttribute('open'), '');
    assert.ok((await whole.boundingBox())!.height <= 320);
    await assertNoSidewaysScroll(page);
  },
);
