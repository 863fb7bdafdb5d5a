/** Puts `${NAME}` and `${file:/path}` into the values of a draft. What comes in is text, and never read as YAML. */
import path from 'node:path';
import { visit, type Scalar } from 'yaml';
import { errorText } from '../base/errors.ts';
import { ownEntry } from '../base/own.ts';
import type { Draft } from './draft.ts';
import { readText } from './read.ts';

/**
 * Replaces the references in all values; returns those values that had any. A bad reference leaves its value unknown.
 */
export function interpolate(draft: Draft, environment: NodeJS.ProcessEnv): Set<unknown> {
  const interpolated = new Set<unknown>();
  visit(draft.document, {
    Scalar(key, scalar) {
      if (key === 'key' || typeof scalar.value !== 'string' || !scalar.value.includes('${')) return;
      interpolated.add(scalar);
      scalar.value = interpolateScalar(draft, scalar, scalar.value, environment);
    },
  });
  return interpolated;
}

/** `$${` first, as it stands for itself; then a reference, perhaps without its end. */
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;

function interpolateScalar(
  draft: Draft,
  scalar: Scalar,
  value: string,
  environment: NodeJS.ProcessEnv,
): string | undefined {
  const offsets = findOffsets(draft, scalar, value);
  let index = -1;
  const result = value.replace(REFERENCE, (match, name: string | undefined, end: string | undefined) => {
    index += 1;
    if (name === undefined) return '${';
    try {
      if (end === '') throw new Error('"${" has no closing "}"; write $${ for a literal "${"');
      return resolveReference(name, environment);
    } catch (error) {
      draft.reportAt(offsets[index] ?? scalar.range?.[0] ?? 0, errorText(error));
      draft.unknown.add(scalar);
      return match;
    }
  });
  return draft.unknown.has(scalar) ? undefined : result;
}

/** Where the references stand in the file; none when escapes or folded lines make the text differ from the value. */
function findOffsets(draft: Draft, scalar: Scalar, value: string): number[] {
  const [start, end] = scalar.range ?? [0, 0];
  const inText = [...draft.text.slice(start, end).matchAll(REFERENCE)];
  const inValue = [...value.matchAll(REFERENCE)];
  return inText.length === inValue.length ? inText.map((match) => start + match.index) : [];
}

function resolveReference(name: string, environment: NodeJS.ProcessEnv): string {
  if (name.startsWith('file:')) return readValue(name.slice('file:'.length));
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new Error('a reference must be ${NAME} or ${file:/path}; write $${ for a literal "${"');
  }
  const value = ownEntry(environment, name);
  if (value === undefined)
    throw new Error(`the environment variable ${name} is not set; set it where pgsluice is started`);
  return value;
}

function readValue(file: string): string {
  if (!path.isAbsolute(file)) throw new Error('a reference to a file must have an absolute path, ${file:/path}');
  try {
    return readText(file).replace(/\r?\n$/, '');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${errorText(error)}; create it, or let this user read it`, {
      cause: error,
    });
  }
}
