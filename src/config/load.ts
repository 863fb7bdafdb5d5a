/** Loads the config file: all of its problems at once, or a frozen config. */
import { errorText, UsageError } from '../base/errors.ts';
import { WITHOUT_CODE } from '../base/without-code.ts';
import { reportCrossChecks } from './checks.ts';
import type { Draft } from './draft.ts';
import { reportIssues } from './explain.ts';
import { interpolate } from './interpolate.ts';
import { parseDraft } from './parse.ts';
import { readText } from './read.ts';
import { resolveConfig } from './resolve.ts';
import { configSchema, type Config } from './schema.ts';
import { isTree, replaceAt, valueAt } from './tree.ts';

/**
 * The config in `file`, with references to `environment` and to files resolved, and all defaults applied. Throws a
 * UsageError with every problem as `file:line:column: message`, in the order of their positions, without any value.
 */
export function loadConfig(file: string, environment: NodeJS.ProcessEnv): Config {
  return parseConfig(file, readConfig(file), environment);
}

/** The same of the text of a config; problems name `file` as where it stands. */
export function parseConfig(file: string, text: string, environment: NodeJS.ProcessEnv): Config {
  const { draft, reliable } = parseDraft(file, text);
  if (!reliable) throw draft.toError();
  const interpolated = interpolate(draft, environment);
  draft.interpolated = interpolated;
  const tree = toTree(draft);
  const parsed = parse(tree, draft, interpolated);
  if (isTree(tree)) reportCrossChecks(tree, draft);
  if (draft.hasProblems || !parsed.success) throw draft.toError();
  return resolveConfig(parsed.data, environment);
}

function readConfig(file: string): string {
  try {
    return readText(file);
  } catch (error) {
    throw new UsageError(
      `${file}: cannot be read: ${errorText(error)}; name the config with --config or $PGSLUICE_CONFIG`,
    );
  }
}

/** The yaml library limits how far aliases may expand, and throws beyond that. */
function toTree(draft: Draft): unknown {
  try {
    return draft.document.toJS({ maxAliasCount: 1000 });
  } catch {
    draft.reportAt(0, 'the file cannot be read: its aliases expand too far');
    throw draft.toError();
  }
}

function parse(tree: unknown, draft: Draft, interpolated: ReadonlySet<unknown>) {
  let result = configSchema.safeParse(tree, WITHOUT_CODE);
  if (!result.success && coerce(result.error.issues, tree, draft, interpolated))
    result = configSchema.safeParse(tree, WITHOUT_CODE);
  if (!result.success) reportIssues(result.error.issues, tree, draft);
  return result;
}

type Issues = Parameters<typeof reportIssues>[0];

/** Interpolated values are text; where a number or a boolean is expected, turns them into one. Says whether any was. */
function coerce(issues: Issues, tree: unknown, draft: Draft, interpolated: ReadonlySet<unknown>): boolean {
  let isChanged = false;
  for (const issue of issues) {
    const value = valueAt(tree, issue.path);
    if (issue.code !== 'invalid_type' || typeof value !== 'string' || !interpolated.has(draft.valueNode(issue.path)))
      continue;
    const converted = convert(value.trim(), issue.expected);
    if (converted === undefined) continue;
    replaceAt(tree, issue.path, converted);
    isChanged = true;
  }
  return isChanged;
}

function convert(text: string, expected: string): number | boolean | undefined {
  if (expected === 'boolean') return text === 'true' ? true : text === 'false' ? false : undefined;
  const isNumeric = expected === 'number' || expected === 'int';
  return isNumeric && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}
