/** Facts of a restore that nothing stands against, for tests that change one of them. */
import type { Manifest, ManifestColumn, ManifestObject } from '../../../src/ledger/manifest.ts';
import { NO_CONSTRAINTS } from '../../../src/restore/constraints.ts';
import { DoneObjects } from '../../../src/restore/done-objects.ts';
import type { TargetIndex } from '../../../src/restore/indexes.ts';
import { ALL_KEYS } from '../../../src/restore/keys.ts';
import type { RestoreFacts } from '../../../src/restore/look.ts';
import { NO_PUBLICATIONS } from '../../../src/restore/publications.ts';
import type { RestoreRecord } from '../../../src/restore/record.ts';
import type { RestoreRequest } from '../../../src/restore/request.ts';
import type { Target, TargetColumn } from '../../../src/restore/target.ts';

export const RUN = '20261123T021500Z';

export function column(name: string, type: string, changes: Partial<ManifestColumn> = {}): ManifestColumn {
  return { name, type, typeOid: 23, nullable: true, encoding: 'integer', ...changes };
}

export function object(part: number, changes: Partial<ManifestObject> = {}): ManifestObject {
  return {
    key: `pg/events/run=${RUN}/part-0000${part}.jsonl.gz`,
    rows: 10,
    jsonBytes: 100,
    bytes: 50,
    sha256: 'a'.repeat(64),
    crc32: '00000000',
    firstKey: [String(part * 10)],
    lastKey: [String(part * 10 + 9)],
    snapshot: '1',
    ...changes,
  };
}

export function manifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    format: 'pgsluice/manifest/1',
    archive: 'events',
    run: RUN,
    table: 'public.events',
    columns: [column('id', 'integer', { nullable: false }), column('note', 'character varying(20)')],
    primaryKey: ['id'],
    cut: { by: 'key', key: ['id'] },
    source: { database: 'app', serverVersion: '18', systemIdentifier: null },
    snapshot: { id: '1', lsn: null, takenAt: '2026-11-23T02:15:00Z' },
    consistency: 'single-snapshot',
    rows: 20,
    jsonBytes: 200,
    bytes: 100,
    objects: [object(0), object(1)],
    startedAt: '2026-11-23T02:15:00Z',
    finishedAt: '2026-11-23T02:15:01Z',
    host: 'db1',
    tool: { name: 'pgsluice', version: '0.1.0' },
    ...changes,
  };
}

export function targetColumn(name: string, type: string, changes: Partial<TargetColumn> = {}): TargetColumn {
  return {
    name,
    type,
    typeOid: 23,
    dimensions: 0,
    notNull: false,
    fillsItself: false,
    isGenerated: false,
    isOrderedApart: false,
    canInsert: true,
    sequences: [],
    ...changes,
  };
}

export function index(columns: (string | null)[], changes: Partial<TargetIndex> = {}): TargetIndex {
  return {
    columns,
    isUnique: true,
    isImmediate: true,
    isValid: true,
    isPartial: false,
    isBtree: true,
    isExact: true,
    equalities: columns.map(() => 'OPERATOR(pg_catalog.=)'),
    nullsAreEqual: false,
    ...changes,
  };
}

export function target(changes: Partial<Target> = {}): Target {
  return {
    oid: 16400,
    name: '"public"."events"',
    kind: 'r',
    columns: [targetColumn('id', 'integer', { notNull: true }), targetColumn('note', 'character varying(20)')],
    indexes: [index(['id'])],
    rules: [],
    isUnlogged: false,
    files: '16400',
    canSelect: true,
    hasRowSecurity: false,
    triggers: [],
    ...changes,
  };
}

export function record(rows: number): RestoreRecord {
  const done = new DoneObjects({ archive: 'events', run: RUN });
  done.set(`events/run=${RUN}/part-00000.jsonl.gz`, { rows, skipped: 0 });
  return {
    table: '"public"."pgsluice_restore_16400"',
    restore: 'r',
    resumed: true,
    rowsBefore: 0,
    done,
    aside: [],
  };
}

export const request = {
  into: { schema: 'public', table: 'events' },
  create: false,
  onConflict: 'fail',
  selfReferences: 'refuse',
  keys: {},
} as unknown as RestoreRequest;

export function facts(changes: Partial<RestoreFacts> = {}): RestoreFacts {
  return {
    restore: 'r',
    place: {
      schemaExists: true,
      canUseSchema: true,
      canCreate: true,
      canMakeTemp: true,
      isReadOnly: false,
      role: 'restorer',
      version: 18,
      encoding: 'UTF8',
    },
    target: target(),
    record: undefined,
    emptied: undefined,
    aside: [],
    hasRows: false,
    rowsBefore: 0,
    recount: undefined,
    types: new Map(),
    publications: NO_PUBLICATIONS,
    definitions: [],
    keys: ALL_KEYS,
    constraints: NO_CONSTRAINTS,
    objects: { count: 2, filled: 2, rows: 20, problems: [], warnings: [], contradictions: [] },
    partitionProblems: [],
    planned: [0, 1].map((index) => ({ ...object(index), index })),
    ...changes,
  };
}
