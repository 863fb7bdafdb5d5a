/** Makes text from elsewhere safe to show: what is stored or was sent may be made to look like something else, or to steer a terminal. */

/** Longer texts are cut where nothing else is said. */
const MAX_CHARS = 4000;

/**
 * What changes the place, the order or the presence of other characters: the controls (C0, DEL, C1), halves of a surrogate pair,
 * marks of writing direction, separators of lines and paragraphs, and characters without a width. The joiners of emoji and of
 * several scripts (U+200C, U+200D) stay.
 */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Of {@link UNSEEN}, what JSON leaves as it is. */
const UNSEEN_IN_JSON =
  /[\x7f-\x9f\p{Zl}\p{Zp}\p{Bidi_Control}\u200b\u2060-\u2064\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\u001b': '\\x1b' };

/** The text as one line in which every character is seen: `\n`, `\x1b`, `\u202e`. At most `maxChars` of it, then `…`. */
export function visible(text: string, maxChars = MAX_CHARS): string {
  // Cut first, so that a long text costs no more than what is shown of it.
  const shown = text.length <= maxChars ? text : `${wholeCharacters(text, maxChars - 1)}…`;
  return shown.replace(UNSEEN, (character) => SHORT[character] ?? escapeCode(character));
}

/** A JSON document, or a part of one, that says the same, with `\u…` for what would not be seen in it. */
export function visibleJson(json: string): string {
  return json.replace(UNSEEN_IN_JSON, (character) => [...unitsOf(character)].map(escapeUnit).join(''));
}

/** The first characters of a text, none of them halved. */
function wholeCharacters(text: string, count: number): string {
  const cut = text.slice(0, count);
  return cut.isWellFormed() || !text.isWellFormed() ? cut : cut.slice(0, -1);
}

function escapeCode(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000 ? escapeUnit(code) : `\\u{${code.toString(16)}}`;
}

function* unitsOf(character: string): Generator<number> {
  for (let at = 0; at < character.length; at += 1) yield character.charCodeAt(at);
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
