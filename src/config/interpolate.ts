/** Puts `${NAME}`, `${NAME:-default}` and `${file:/path}` into the values of a draft. What comes in is text, and never read as YAML. */
import path from 'node:path';
import { visit, type Scalar } from 'yaml';
import { errorText } from '../base/errors.ts';
import { ownEntry } from '../base/own.ts';
import { nearestName } from '../base/suggest.ts';
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

/**
 * `$${` first, as it stands for itself; then a reference, perhaps without its end. In a default, as in a shell, a backslash
 * before `}` or another backslash takes away its meaning.
 */
const REFERENCE = /\$\$\{|\$\{(?:([A-Za-z_]\w*):-((?:[^}\\]|\\.)*)|([^}]*))(\}?)/gs;

function interpolateScalar(
  draft: Draft,
  scalar: Scalar,
  value: string,
  environment: NodeJS.ProcessEnv,
): string | undefined {
  const offsets = findOffsets(draft, scalar, value);
  let index = -1;
  const result = value.replace(REFERENCE, (match, ...parts: (string | undefined)[]) => {
    index += 1;
    const [name, byDefault, other, end] = parts;
    if (end === undefined) return '${';
    try {
      if (end === '') throw new Error('"${" has no closing "}"; write $${ for a literal "${"');
      if (name === undefined) return resolveReference(other ?? '', environment);
      return withDefault(name, byDefault ?? '', environment);
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
    throw new Error('a reference must be ${NAME}, ${NAME:-default} or ${file:/path}; write $${ for a literal "${"');
  }
  const value = ownEntry(environment, name);
  if (value !== undefined) return value;
  const near = nearestName(name, Object.keys(environment));
  const advice = near === undefined ? 'set it where pgsluice is started' : `did you mean "${near}", which is set?`;
  throw new Error(`the environment variable ${name} is not set; ${advice}`);
}

/** As in a shell, a variable that is empty counts as one that is not set. The default is judged in any case, and never shown. */
function withDefault(name: string, written: string, environment: NodeJS.ProcessEnv): string {
  if (/(?<!\$)\$\{/.test(written))
    throw new Error(`the default of \${${name}:-…} cannot hold a reference of its own; write $\${ for a literal "\${"`);
  const value = ownEntry(environment, name) ?? '';
  return value === '' ? written.replaceAll('$${', () => '${').replace(/\\([\\}])/g, '$1') : value;
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
