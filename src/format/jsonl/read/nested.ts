/** Turns the JSON of one array or composite into the literal that Postgres reads: `{1,NULL}` and `("1","x")`. */
import type { ValueForm } from '../forms.ts';

/** The composite type of the target has no such attribute any more, so that its values would be lost. */
export class AttributeGone extends Error {
  readonly attribute: string;

  constructor(attribute: string) {
    super(`the composite type has no attribute "${attribute}"`);
    this.attribute = attribute;
  }
}

/** The input text of the value that `json` holds; null is SQL NULL. Throws an Error when the JSON does not have that form. */
export function inputText(json: string, form: ValueForm): string | null {
  const reader = new JsonReader(json);
  const text = reader.value(form);
  if (reader.at !== json.length) throw new Error(`there is more behind the value, at character ${reader.at}`);
  return text;
}

/** Walks one JSON text and the form of its type side by side. There are no blanks in it but those inside json values. */
class JsonReader {
  readonly #json: string;
  at = 0;

  constructor(json: string) {
    this.#json = json;
  }

  value(form: ValueForm): string | null {
    const start = this.at;
    switch (form.kind) {
      case 'array':
        return this.#next() === '[' ? this.#array(form, 1) : this.#null();
      case 'vector':
        return this.#next() === '[' ? this.#vector() : this.#null();
      case 'composite':
        return this.#next() === '{' ? this.#composite(form.attributes) : this.#null();
      case 'hstore':
        return this.#next() === '{' ? this.#hstore() : this.#null();
      case 'json':
      case 'value': {
        this.#skipValue();
        const raw = this.#json.slice(start, this.at);
        if (raw === 'null') return null;
        return form.kind === 'value' && raw.startsWith('"') ? (JSON.parse(raw) as string) : raw;
      }
    }
  }

  #array(form: Extract<ValueForm, { kind: 'array' }>, depth: number): string {
    const elements = this.#list('[', ']', () => {
      const isDimension = this.#next() === '[' && (form.dimensions === null || depth < form.dimensions);
      return isDimension ? this.#array(form, depth + 1) : quoteElement(this.value(form.element));
    });
    return `{${elements.join(form.delimiter)}}`;
  }

  #vector(): string {
    return this.#list('[', ']', () => this.value({ kind: 'value' }) ?? '').join(' ');
  }

  /** By name: the type may have got attributes since, which the archive does not have, or have them in another order. */
  #composite(attributes: Extract<ValueForm, { kind: 'composite' }>['attributes']): string {
    const values = new Map<string, string>();
    this.#list('{', '}', () => {
      const name = this.#name();
      const attribute = attributes.find((one) => one.name === name);
      if (attribute === undefined) throw new AttributeGone(name);
      if (values.has(name)) throw new Error(`"${name}" is there twice`);
      values.set(name, quoteAttribute(this.value(attribute.form)));
      return '';
    });
    return `(${attributes.map(({ name }) => values.get(name) ?? '').join(',')})`;
  }

  #hstore(): string {
    return this.#list('{', '}', () => {
      this.#skipBlanks();
      const name = quote(this.#name());
      this.#skipBlanks();
      const value = this.value({ kind: 'value' });
      return `${name}=>${value === null ? 'NULL' : quote(value)}`;
    }).join(',');
  }

  #list(open: string, close: string, item: () => string): string[] {
    this.#expect(open);
    const items: string[] = [];
    if (this.#next() === close) {
      this.at += 1;
      return items;
    }
    for (;;) {
      items.push(item());
      if (this.#next() === close) break;
      this.#expect(',');
    }
    this.at += 1;
    return items;
  }

  /** hstore puts blanks between the parts of its object; Postgres itself does not. */
  #skipBlanks(): void {
    while (this.#next() === ' ') this.at += 1;
  }

  #name(): string {
    const start = this.at;
    this.#skipString();
    const name = JSON.parse(this.#json.slice(start, this.at)) as string;
    this.#expect(':');
    return name;
  }

  /** To the `,`, `]` or `}` behind the value. */
  #skipValue(): void {
    for (let depth = 0; this.at < this.#json.length; this.at += 1) {
      const character = this.#json.charAt(this.at);
      if (character === '"') {
        this.#skipString();
        this.at -= 1;
      } else if (character === '[' || character === '{') depth += 1;
      else if (depth > 0 && (character === ']' || character === '}')) depth -= 1;
      else if (depth === 0 && (character === ',' || character === ']' || character === '}')) return;
    }
  }

  #skipString(): void {
    this.#expect('"');
    for (;;) {
      const quote = this.#json.indexOf('"', this.at);
      if (quote < 0) throw new Error('a string does not end');
      let backslashes = 0;
      while (this.#json.charAt(quote - 1 - backslashes) === '\\') backslashes += 1;
      this.at = quote + 1;
      if (backslashes % 2 === 0) return;
    }
  }

  #null(): null {
    if (!this.#json.startsWith('null', this.at)) throw new Error(`"${this.#next()}" at character ${this.at}`);
    this.at += 4;
    return null;
  }

  #next(): string {
    return this.#json.charAt(this.at);
  }

  #expect(character: string): void {
    if (this.#next() !== character) throw new Error(`"${character}" is missing at character ${this.at}`);
    this.at += 1;
  }
}

/** A bare NULL is SQL NULL; in quotes, nothing has a meaning but the quote and the backslash. */
function quoteElement(text: string | null): string {
  return text === null ? 'NULL' : quote(text);
}

/** In a composite, nothing at all is SQL NULL. */
function quoteAttribute(text: string | null): string {
  return text === null ? '' : quote(text);
}

function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
