/** Turns what zod found into problems in plain words, at their positions, with the value where it is no secret. */
import type * as z from 'zod';
import { nearestName } from '../base/suggest.ts';
import type { Draft, Path } from './draft.ts';
import { optionKeys } from './options.ts';
import { describeValue } from './shown.ts';
import { valueAt } from './tree.ts';

type Issue = z.core.$ZodIssue;

/** Reports the issues of `tree`, the plain form of the draft. */
export function reportIssues(issues: readonly Issue[], tree: unknown, draft: Draft): void {
  for (const issue of issues) {
    if (issue.code === 'unrecognized_keys') reportUnknownKeys(issue.path, issue.keys, draft);
    else if (valueAt(tree, issue.path) === undefined) reportMissing(issue.path, draft);
    else if (issue.code === 'invalid_key') draft.report(issue.path, explain(issue, valueAt(tree, issue.path)), 'key');
    else {
      const value = valueAt(tree, issue.path);
      draft.report(issue.path, explain(issue, value) + describeValue(draft, issue.path, value));
    }
  }
}

function reportUnknownKeys(path: Path, keys: readonly string[], draft: Draft): void {
  for (const key of keys) {
    draft.report([...path, key], `unknown key${suggest(key, optionKeys(path))}`, 'key');
  }
}

/** `; did you mean "x"?`, or all that is known when nothing is near. */
export function suggest(text: string, known: readonly string[]): string {
  if (known.length === 0) return '; none is known here';
  const near = nearestName(text, known);
  return near === undefined ? `; known are: ${known.join(', ')}` : `; did you mean "${near}"?`;
}

/** A missing key has no position of its own, unless its reference could not be resolved, which was reported already. */
function reportMissing(path: Path, draft: Draft): void {
  if (draft.find(path) !== undefined) draft.report(path, 'has no value');
  else draft.report(path.slice(0, -1), `${String(path.at(-1))} is required`, 'key');
}

function explain(issue: Issue, value: unknown): string {
  if (value === null) return 'has no value; give it one, or remove the key';
  switch (issue.code) {
    case 'invalid_type':
      return explainType(issue, value);
    case 'invalid_value':
      return `must be ${issue.values.map(String).join(', ')}`.replace(/, ([^,]*)$/, ' or $1');
    case 'too_small':
      return explainBound(issue.origin, `at least ${issue.minimum}`, issue.message);
    case 'too_big':
      return explainBound(issue.origin, `at most ${issue.maximum}`, issue.message);
    case 'invalid_key':
      return 'the name must have 1 to 128 characters';
    default:
      return issue.message;
  }
}

const TYPE_WORDS: Record<string, string> = {
  string: 'text',
  int: 'a whole number',
  number: 'a whole number',
  boolean: 'true or false',
  array: 'a list, such as [a, b]',
  object: 'a mapping of options',
  record: 'a mapping of names',
};

function explainType(issue: Issue & { code: 'invalid_type' }, value: unknown): string {
  if (!issue.message.startsWith('Invalid input')) return issue.message;
  const words = `must be ${TYPE_WORDS[issue.expected] ?? issue.expected}`;
  const isUnquoted = issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean');
  return isUnquoted ? `${words}; put it in quotes` : words;
}

function explainBound(origin: string, bound: string, message: string): string {
  if (!message.startsWith('Too ')) return message;
  if (origin === 'string') return bound === 'at least 1' ? 'must not be empty' : `must have ${bound} characters`;
  return origin === 'array' ? 'must not be an empty list' : `must be ${bound}`;
}
