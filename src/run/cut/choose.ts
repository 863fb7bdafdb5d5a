/** Decides how the rows of a run are cut, from what is known of the table or query, and says why. */
import { fail, type FailureError } from '../../base/errors.ts';
import type { ArchiveConfig } from '../../config/schema.ts';
import type { CutBy } from '../../ledger/segments.ts';
import { RELATION_WORDS, type RelationKind } from '../../postgres/relation.ts';

/** What the decision is made from. */
export interface CutFacts {
  /** What is read, as the operator knows it. */
  name: string;
  kind: RelationKind | 'query';
  /** Whether it is partitioned, and has no partitions yet: there is nothing to cut, by whatever. */
  isLeafless?: boolean;
  /** The columns of a layout by value; absent without one. */
  partitionBy?: readonly string[];
  /** The names of the key's columns; empty without one. */
  key: readonly string[];
  /** Whether its snapshot may be let go before the run is done, so that segments must mean the same rows under another one. */
  mustOutlive?: boolean;
  /** Whether the role may not read the key. */
  isKeyHidden?: boolean;
  /** Whether ranges of the key can be read. */
  canCutKey: boolean;
  canCutPages: boolean;
  /** How well the rows lie in the order of the key, from -1 to 1; undefined without statistics. */
  correlation: number | undefined;
  /** By what the statement may choose other rows each time it is run; undefined when by nothing. */
  rowChoice: string | undefined;
}

/** How the rows are cut, before it is known into how many. */
export interface CutChoice {
  by: CutBy;
  why: string;
}

/** From here on, a range of the key reads about as many pages as it has rows' worth of. */
const GOOD_CORRELATION = 0.9;

const PAGES_TAKE =
  'that takes a table, Postgres 14 or later, SELECT granted on each partition, and no foreign one among them unless consistency is none';

/** Chooses the cut. Throws FailureError `cannot-cut` when the config asks for one that is not possible. */
export function chooseCut(wanted: ArchiveConfig['segments']['by'], facts: CutFacts): CutChoice {
  if (facts.partitionBy !== undefined) return byValue(wanted, facts, facts.partitionBy);
  if (facts.mustOutlive === true && facts.rowChoice !== undefined) return withoutCut('key', facts, facts.rowChoice);
  if (facts.rowChoice !== undefined && wanted !== 'none') return withoutCut(wanted, facts, facts.rowChoice);
  if (facts.isLeafless === true && wanted !== 'none')
    return { by: 'none', why: 'a partitioned table without partitions has no rows to cut' };
  switch (wanted) {
    case 'none':
      return { by: 'none', why: 'segments.by is none' };
    case 'key':
      if (facts.canCutKey) return { by: 'key', why: 'segments.by is key' };
      throw withoutKey(facts);
    case 'pages':
      if (facts.canCutPages) return { by: 'pages', why: 'segments.by is pages' };
      throw cannotCut(facts, 'pages', PAGES_TAKE);
    case 'auto':
      if (facts.mustOutlive !== true) return chooseAutomatically(facts);
      if (facts.canCutKey) return { by: 'key', why: 'by pace.maxSnapshotAge, segments must outlive their snapshot' };
      throw withoutKey(facts, 'Leave pace.maxSnapshotAge out, or name a key.');
  }
}

/** Each value is a segment; a large one is cut by the key, where that is possible and allowed. */
function byValue(wanted: ArchiveConfig['segments']['by'], facts: CutFacts, columns: readonly string[]): CutChoice {
  if (facts.rowChoice !== undefined) return withoutCut('value', facts, facts.rowChoice);
  if (wanted === 'pages') throw cannotCut(facts, 'pages', 'partitionBy makes a segment of each value');
  if (wanted === 'key' && !facts.canCutKey) throw withoutKey(facts);
  const large =
    wanted !== 'none' && facts.canCutKey ? `, and large ones are cut by the key (${facts.key.join(', ')})` : '';
  return { by: 'value', why: `each value of partitionBy (${columns.join(', ')}) has a folder${large}` };
}

/** Each segment runs the statement anew; one that picks its rows as it runs would give each of them other rows to cut. */
function withoutCut(wanted: string, facts: CutFacts, rowChoice: string): CutChoice {
  const why = `the ${facts.kind === 'query' ? 'query' : 'filter'} has ${rowChoice}, and may give other rows each time it is run`;
  if (wanted === 'auto') return { by: 'none', why };
  const instead =
    wanted === 'value'
      ? 'Leave partitionBy out'
      : facts.mustOutlive === true
        ? 'Leave pace.maxSnapshotAge out'
        : 'Set segments.by to none';
  throw cannotCut(facts, wanted, why, `${instead}, or let the SQL choose the same rows each time.`);
}

function chooseAutomatically(facts: CutFacts): CutChoice {
  const { key, kind, canCutKey, canCutPages, correlation } = facts;
  const keyText = `the key (${key.join(', ')})`;
  if (canCutKey && kind === 'query') return { by: 'key', why: `the query names ${keyText}, so a run can be resumed` };
  if (canCutKey && correlation !== undefined && Math.abs(correlation) >= GOOD_CORRELATION) {
    const why = `the rows lie in the order of ${keyText} (correlation ${correlation.toFixed(2)}), and a run can be resumed`;
    return { by: 'key', why };
  }
  if (canCutPages) {
    const order =
      correlation === undefined
        ? 'there are no statistics on its order (run ANALYZE)'
        : `the rows do not lie in its order (correlation ${correlation.toFixed(2)})`;
    return { by: 'pages', why: canCutKey ? `${keyText} is there, but ${order}` : 'there is no primary key' };
  }
  if (canCutKey) return { by: 'key', why: `this server cannot read ranges of pages, and there is ${keyText}` };
  return {
    by: 'none',
    why:
      facts.isKeyHidden === true
        ? `the role may not read ${keyText}, and has no SELECT on the whole table to read ranges of pages by`
        : kind === 'query'
          ? 'a query without a key'
          : `a ${RELATION_WORDS[kind]} has no pages and no key to cut by`,
  };
}

function withoutKey(facts: CutFacts, hint?: string): FailureError {
  return cannotCut(
    facts,
    'key',
    facts.isKeyHidden === true
      ? `the role may not read its key (${facts.key.join(', ')})`
      : 'it has no primary key, and the archive names no other key',
    hint,
  );
}

function cannotCut(
  { name }: CutFacts,
  by: string,
  why: string,
  hint = 'Set segments.by to auto, or name a key.',
): FailureError {
  return fail('cannot-cut', {
    stage: 'plan',
    message: `${name} cannot be cut by ${by}: ${why}`,
    hint,
  });
}
