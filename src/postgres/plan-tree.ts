/**
 * Reads in the planner's tree whether a statement may give other rows each time it is run under one snapshot. Whatever
 * picks some rows out of many is harmless only if the order that it picks by leaves nothing to chance.
 */
import { codeOf } from './sql-text.ts';

/** A node of `EXPLAIN (VERBOSE, FORMAT JSON)`. Expressions are text; there are more fields than are named here. */
export interface PlanNode {
  'Node Type': string;
  Plans?: PlanNode[];
  Output?: string[];
  'Sort Key'?: string[];
  'Relation Name'?: string;
  Schema?: string;
  Alias?: string;
  'Parent Relationship'?: string;
  'Subplan Name'?: string;
  /** What a foreign server is asked for. */
  'Remote SQL'?: string;
  [field: string]: unknown;
}

/** A set of NOT NULL columns with a unique index, by which no two rows of the relation are alike. */
export interface UniqueKey {
  schema: string;
  relation: string;
  columns: readonly string[];
}

export interface Statement {
  root: PlanNode;
  /** Where the columns of the key stand in what the statement gives. */
  key: readonly number[];
  uniqueKeys: readonly UniqueKey[];
}

/** A column as expressions name it; the alias is left out where there is one relation only. */
interface ColumnName {
  alias: string | undefined;
  name: string;
}

/** A node, and what stands above it. */
interface Place {
  node: PlanNode;
  ancestors: readonly PlanNode[];
}

/** Functions that give another value each time. */
const RANDOM = /(?<![\w$"\u0080-\uffff])(random|random_normal|gen_random_uuid|uuid_generate_v\w+|uuidv[47])\s*\(/i;
/** Window functions whose value hangs on the order of rows that are alike to ORDER BY. */
const BY_POSITION = /\b(row_number|ntile|lag|lead|first_value|last_value|nth_value)\(.*\) OVER\b/i;
/** What stands under a condition may be left out by it. An index condition is one of the scan itself. */
const CONDITIONS = ['Filter', 'Join Filter', 'Hash Cond', 'Merge Cond', 'Run Condition', 'One-Time Filter'];
/** Fields that hold names, not expressions. */
const NAMES = new Set(['Node Type', 'Relation Name', 'Schema', 'Alias', 'Index Name', 'CTE Name', 'Subplan Name']);

/** The relations that a plan scans, each once. */
export function scannedRelations(root: PlanNode): { schema: string; relation: string }[] {
  const found = new Map<string, { schema: string; relation: string }>();
  for (const { node } of walk(root)) {
    const { Schema: schema, 'Relation Name': relation } = node;
    if (schema !== undefined && relation !== undefined)
      found.set(JSON.stringify([schema, relation]), { schema, relation });
  }
  return [...found.values()];
}

/**
 * What a plan reads of other servers, as a person knows it, each once: those take no part in a snapshot of this one. A
 * function that hides such a read from the planner is not seen, but for those of dblink.
 */
export function remoteReadsOf(root: PlanNode): string[] {
  return [...new Set(Array.from(walk(root), ({ node }) => remoteReadOf(node)).filter((read) => read !== undefined))];
}

function remoteReadOf(node: PlanNode): string | undefined {
  const { 'Relation Name': relation, Relations: joined, 'Function Name': name } = node;
  switch (node['Node Type']) {
    case 'Foreign Scan':
      // What is joined, sorted or counted over there has no relation of its own.
      return `the foreign table ${relation ?? (typeof joined === 'string' ? joined : 'of a scan')}`;
    case 'Custom Scan':
      return node['Custom Plan Provider'] === 'Citus Adaptive' ? 'tables of Citus' : undefined;
    case 'Function Scan':
      return typeof name === 'string' && name.startsWith('dblink') ? `${name}()` : undefined;
    default:
      return undefined;
  }
}

/** By what the statement picks rows that may be others the next time, such as LIMIT; undefined when by nothing. */
export function rowChoiceOf(statement: Statement): string | undefined {
  for (const place of walk(statement.root)) {
    const choice = choiceOf(place, statement);
    if (choice !== undefined) return choice;
  }
  return undefined;
}

/** The function by which an expression gives another value each time; undefined when there is none. */
export function randomFunctionOf(root: PlanNode): string | undefined {
  for (const { node } of walk(root)) {
    for (const [field, value] of Object.entries(node)) {
      if (NAMES.has(field) || field === 'Plans') continue;
      for (const text of [value].flat()) {
        const match = typeof text === 'string' ? RANDOM.exec(codeOf(text)) : null;
        if (match !== null) return `${match[1] ?? ''}()`;
      }
    }
  }
  return undefined;
}

function* walk(node: PlanNode, ancestors: readonly PlanNode[] = []): Generator<Place> {
  yield { node, ancestors };
  for (const child of node.Plans ?? []) yield* walk(child, [...ancestors, node]);
}

function choiceOf(place: Place, statement: Statement): string | undefined {
  switch (place.node['Node Type']) {
    case 'Sample Scan':
      return 'TABLESAMPLE';
    case 'Limit':
      return isLimitDecided(place, statement) ? undefined : 'LIMIT, OFFSET or FETCH';
    case 'Unique':
      return isDistinctDecided(place, statement) ? undefined : 'DISTINCT ON in an order that is not unique';
    case 'WindowAgg':
      return isWindowDecided(place, statement) ? undefined : 'a window function in an order that is not unique';
    case 'Foreign Scan':
      return /\b(LIMIT|OFFSET|FETCH)\b/.test(codeOf(place.node['Remote SQL'] ?? '')) ? 'LIMIT' : undefined;
    default:
      return undefined;
  }
}

/** A limit of the whole statement is what the next snapshot would cut elsewhere, however well it is ordered. */
function isLimitDecided({ node, ancestors }: Place, { uniqueKeys }: Statement): boolean {
  const input = orderedInput(node);
  if (input === undefined || isOutermost(ancestors)) return false;
  return isOrderedByAllOf(node, input) || isOrderedUniquely(input, uniqueKeys);
}

/** Of rows that are alike, any one may stay. At the top it is enough that those have one key, as then it is there once. */
function isDistinctDecided({ node, ancestors }: Place, statement: Statement): boolean {
  const input = orderedInput(node);
  if (input === undefined) return false;
  if (isOrderedByAllOf(node, input) || isOrderedUniquely(input, statement.uniqueKeys)) return true;
  const keys = keyNames(statement);
  const order = sortColumns(input);
  const isKeyDecided = keys?.every((key) => order.some((by) => isSame(key, by))) ?? false;
  return isOutermost(ancestors) && isKeyDecided;
}

/** A value that hangs on chance harms where rows are picked by it, or where it is the key. */
function isWindowDecided({ node, ancestors }: Place, statement: Statement): boolean {
  if (!(node.Output ?? []).some((text) => BY_POSITION.test(codeOf(text)))) return true;
  const input = orderedInput(node);
  if (input !== undefined && isOrderedUniquely(input, statement.uniqueKeys)) return true;
  if ([node, ...ancestors].some((above) => CONDITIONS.some((field) => above[field] !== undefined))) return false;
  const plain = (node.Output ?? []).flatMap((text) => parseColumn(text)?.name ?? []);
  return keyNames(statement)?.every(({ name }) => plain.includes(name)) ?? false;
}

/** Nothing but an order may stand above it. */
function isOutermost(ancestors: readonly PlanNode[]): boolean {
  return ancestors.every(({ 'Node Type': type }) => type === 'Sort' || type === 'Result');
}

/** The columns of the key as the statement's root names them; undefined when one of them is no plain column there. */
function keyNames({ root, key }: Statement): ColumnName[] | undefined {
  const names = key.map((at) => parseColumn(root.Output?.[at] ?? ''));
  return names.includes(undefined) ? undefined : (names as ColumnName[]);
}

/** The node that puts a node's rows in order; undefined when it cannot be seen what their order is. */
function orderedInput(node: PlanNode): PlanNode | undefined {
  const [input, ...others] = rowInputs(node);
  if (input === undefined || others.length > 0) return undefined;
  if (input['Sort Key'] !== undefined) return input;
  return ['Result', 'WindowAgg'].includes(input['Node Type']) ? orderedInput(input) : undefined;
}

/** Rows that are alike to the order are alike in all that is given. */
function isOrderedByAllOf(node: PlanNode, input: PlanNode): boolean {
  const order = sortColumns(input);
  const given = (node.Output ?? []).map(parseColumn);
  return given.length > 0 && given.every((column) => column !== undefined && order.some((by) => isSame(column, by)));
}

/** No two rows are alike to the order: it holds a unique key of each relation that they are made of. */
function isOrderedUniquely(input: PlanNode, uniqueKeys: readonly UniqueKey[]): boolean {
  const order = sortColumns(input);
  return leavesOf(input).every(({ Schema: schema, 'Relation Name': relation, Alias: alias }) =>
    uniqueKeys.some(
      (key) =>
        key.schema === schema &&
        key.relation === relation &&
        key.columns.every((name) => order.some((by) => by.name === name && by.alias === alias)),
    ),
  );
}

/** Where the rows come from: scans of relations, and whatever else has no input. */
function leavesOf(node: PlanNode): PlanNode[] {
  // It gives several rows for one.
  if (node['Node Type'] === 'ProjectSet') return [node];
  const inputs = rowInputs(node);
  return node['Relation Name'] !== undefined || inputs.length === 0 ? [node] : inputs.flatMap(leavesOf);
}

/** Plans of subqueries within expressions give no rows to the node that they hang on. */
function rowInputs({ Plans = [] }: PlanNode): PlanNode[] {
  return Plans.filter((plan) => plan['Subplan Name'] === undefined);
}

function sortColumns(input: PlanNode): ColumnName[] {
  return (input['Sort Key'] ?? []).flatMap((text) => {
    const expression = text.replace(/ NULLS (FIRST|LAST)$/, '').replace(/ DESC$/, '');
    return parseColumn(expression.replace(/ COLLATE \S+$/, '')) ?? [];
  });
}

const COLUMN = /^(?:([\w$\u0080-\uffff]+|"(?:[^"]|"")+")\.)?([\w$\u0080-\uffff]+|"(?:[^"]|"")+")$/;

function parseColumn(text: string): ColumnName | undefined {
  const match = COLUMN.exec(text);
  if (match?.[2] === undefined) return undefined;
  return { alias: match[1] === undefined ? undefined : unquote(match[1]), name: unquote(match[2]) };
}

function unquote(identifier: string): string {
  return identifier.startsWith('"') ? identifier.slice(1, -1).replaceAll('""', '"') : identifier;
}

function isSame(column: ColumnName, other: ColumnName): boolean {
  const isAlias = column.alias === undefined || other.alias === undefined || column.alias === other.alias;
  return isAlias && column.name === other.name;
}
