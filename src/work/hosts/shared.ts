/** What all segments of a run share, as the document that other hosts read, and back again. */
import { TOOL } from '../../base/tool.ts';
import { SHARED_TASK_FORMAT, type SharedTask } from '../../ledger/shared-task.ts';
import type { CutParts } from '../../segment/narrow.ts';
import type { SegmentOrigin, SegmentTask } from '../../segment/task.ts';

/** A task that another host may do. */
export type HostTask = SegmentTask & { origin: SegmentOrigin };

export function describeShared(task: HostTask, ends: SharedTask['ends']): SharedTask {
  const { archive, run, snapshot, server, lock, read, subject, keyColumns, compression, contentEncoding } = task;
  const { codec, engine, level } = compression;
  const { selection, cut } = task.origin;
  const { kind, columns } = selection;
  const lists = { columns: [...columns] };
  return {
    format: SHARED_TASK_FORMAT,
    ...{ archive, run, tool: TOOL, ends, snapshot, server, read, subject, keyColumns: [...keyColumns] },
    ...(lock === undefined ? {} : { lock }),
    selection:
      kind === 'relation'
        ? {
            ...{ kind, from: selection.from, ...lists },
            ...(selection.where === undefined ? {} : { where: selection.where }),
          }
        : { kind, sql: selection.sql, params: [...selection.params] as string[], ...lists },
    cut: plainCut(cut),
    compression: { codec, engine, ...(level === undefined ? {} : { level }) },
    ...(contentEncoding === undefined ? {} : { contentEncoding: contentEncoding as 'gzip' }),
    ...(task.pieceBytes === undefined ? {} : { pieceBytes: task.pieceBytes }),
    ...(task.wantsLineDigest === true ? { wantsLineDigest: true } : {}),
  };
}

function plainCut(cut: CutParts): SharedTask['cut'] {
  switch (cut.by) {
    case 'none':
      return cut;
    case 'key':
      return { by: 'key', ...plainKey(cut) };
    case 'value': {
      const { columns, key } = cut;
      const named = columns.map(({ name, reference, type, isText }) => ({ name, reference, type, isText }));
      return { by: 'value', columns: named, ...(key === undefined ? {} : { key: plainKey(key) }) };
    }
    case 'pages': {
      const { oid, name } = cut.table;
      return {
        by: 'pages',
        table: { name, ...(oid === undefined ? {} : { oid }) },
        leaves: Array.from(cut.leaves.values(), ({ oid, from, hasPages }) => ({ oid, from, hasPages })),
      };
    }
  }
}

function plainKey({ columns, nullable }: Omit<Extract<CutParts, { by: 'key' }>, 'by'>) {
  return { columns: columns.map(({ reference, type, operators }) => ({ reference, type, operators })), nullable };
}

interface Selected {
  selection: SegmentOrigin['selection'];
  cut: CutParts;
}

/** What a statement is made of, but for the part. */
export function plainParts({ selection, cut }: SharedTask): Selected {
  return {
    selection: selection.kind === 'relation' ? { ...selection, where: selection.where } : selection,
    cut: partsOf(cut),
  };
}

function partsOf(cut: SharedTask['cut']): CutParts {
  switch (cut.by) {
    case 'pages': {
      const leaves = new Map(cut.leaves.map((leaf) => [leaf.oid, leaf]));
      return { by: 'pages', table: { oid: cut.table.oid, name: cut.table.name }, leaves };
    }
    case 'value':
      return { by: 'value', columns: cut.columns, key: cut.key };
    default:
      return cut;
  }
}
