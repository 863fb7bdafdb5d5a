// @ts-check
/** Texts from outside, made fit to be shown: nothing invisible, nothing that turns the text around it, and no megabytes. */

/** Control characters but for tab and line feed, marks of direction, other invisible ones, and halves of characters. */
const UNSEEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Surrogate}/gu;

/**
 * The text with what cannot be seen in it spelt out: `\u202e`.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * The text, or its beginning with an ellipsis.
 * @param {string} text
 * @param {number} most
 */
export function cut(text, most) {
  if (text.length <= most) return text;
  // Not within a character of two halves.
  const end = /[\ud800-\udbff]/.test(text.charAt(most - 1)) ? most - 1 : most;
  return `${text.slice(0, end)}…`;
}
