// @ts-check
/** Elements are made and changed here: what comes from outside goes in as text, never as markup. */
import { utc } from './format.js';
import { plain } from './text.js';

/**
 * What an element gets: attributes, properties of the same name, and listeners, whose names begin with `on`.
 * @typedef {Record<string, string | number | boolean | undefined | ((event: Event) => unknown)>} Properties
 * @typedef {Node | string | false | null | undefined} Child
 */

const SVG = 'http://www.w3.org/2000/svg';

/** Keys that are properties of the element and no attributes. */
const PROPERTIES = new Set(['hidden', 'open', 'value']);

/**
 * An element. A property whose name begins with `on` is a listener; children are nodes, texts, or nothing.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {(Child | readonly Child[])[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children.flat());
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties} [properties]
 * @param {(Child | readonly Child[])[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children.flat());
}

/**
 * @template {Element} T
 * @param {T} element
 * @param {Properties} properties
 * @param {Child[]} children
 */
function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) Object.assign(element, { [key]: value });
    else element.setAttribute(key, plain(String(value)));
  }
  for (const child of children)
    if (child !== undefined && child !== null && child !== false)
      element.append(typeof child === 'string' ? plain(child) : child);
  return element;
}

/**
 * An element that index.html has.
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element;
}

/**
 * Changes a text only when it is another one: an unchanged node keeps its selection, and is not read out again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const shown = plain(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/**
 * Sets an attribute, or removes it for undefined, if that changes anything.
 * @param {Element} element
 * @param {string} name
 * @param {string | undefined} value
 */
export function setAttribute(element, name, value) {
  const shown = value === undefined ? undefined : plain(value);
  if (shown === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== shown) element.setAttribute(name, shown);
}

/**
 * Brings the children into this order and removes all others; those that stay in place are not touched, so focus stays.
 * @param {Element} parent
 * @param {readonly Node[]} children
 */
export function setChildren(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    const there = parent.childNodes[index];
    if (there !== child) parent.insertBefore(child, there ?? null);
  });
}

/**
 * A moment, machine-readable, in UTC on hover.
 * @param {string} iso
 * @param {string} text
 */
export function time(iso, text) {
  return h('time', { datetime: iso, title: utc(iso) }, text);
}
