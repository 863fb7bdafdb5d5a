/** Elements are made and changed here: what comes from outside goes in as text, never as markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** Keys that are properties of the element and no attributes. */
const PROPERTIES = new Set(['hidden', 'disabled', 'value', 'open', 'textContent', 'className']);

/** An element. A property whose name begins with `on` is a listener; children are nodes, texts, or nothing. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) element[key] = value;
    else element.setAttribute(key === 'class' ? 'class' : key, value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Changes a text only when it is another one: an unchanged node keeps its selection, and is not read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, or removes it for undefined, if that changes anything. */
export function setAttribute(element, name, value) {
  if (value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Brings the children into this order and removes all others; those that stay in place are not touched, so focus stays. */
export function setChildren(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.childNodes[index] !== child) parent.insertBefore(child, parent.childNodes[index] ?? null);
  });
}

/** A moment, machine-readable, with the whole of it on hover. */
export function time(iso, text) {
  return h('time', { datetime: iso, title: iso }, text);
}
