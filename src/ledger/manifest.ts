/** The manifest: the object that says a run is done. Its presence is the commit. */
import * as z from 'zod';
import { MAX_PARTITION_COLUMNS } from '../config/schema.ts';
import { chainLink, passedOverRuns } from './chain.ts';
import { isRunId } from './run-id.ts';
import type { DocumentKind, Listed } from './documents.ts';
import {
  count,
  ETAG_FIELD,
  list,
  MAX_COLUMNS,
  MAX_SEGMENTS,
  MOST_BYTES,
  name,
  OBJECT_FIELDS,
  point,
  SNAPSHOT_FIELDS,
  text,
  time,
  TOOL_FIELDS,
} from './fields.ts';
import { partitionFolder } from './partitions.ts';
import { cutBy } from './segments.ts';

export const MANIFEST_FORMAT = 'pgsluice/manifest/1';

const MAX_TYPES = 20_000;
const MAX_LABELS = 100_000;
const MAX_QUERY_CHARS = 16 * 1024 ** 2;
const MAX_BOUND_CHARS = 1000;

/** Later versions add fields, which readers may do without: so what is not known is left out, and not refused. */
const column = z.object({
  name: name(),
  type: name().meta({ description: 'As format_type prints it, such as numeric(12,4).' }),
  typeOid: count()
    .min(1)
    .max(2 ** 32 - 1),
  nullable: z.boolean().meta({
    description: 'False when no row could be NULL there: NOT NULL, validated, in all tables that held the rows.',
  }),
  encoding: z
    .enum([
      'boolean',
      'integer',
      'number',
      'string',
      'date',
      'timestamp',
      'timestamptz',
      'json',
      'jsonb',
      'server',
      'text',
    ])
    .meta({ description: 'How the value became JSON; see docs/format.md.' }),
});
export type ManifestColumn = z.infer<typeof column>;

/** A domain, an enum or a composite that a column is made of. */
const typeDefinition = z.object({
  name: name().meta({ description: 'As format_type prints it, and as columns, domains and attributes name it.' }),
  base: name().exactOptional().meta({ description: 'Of a domain: the type below it, with its modifier.' }),
  labels: list(name(), MAX_LABELS).exactOptional().meta({ description: 'Of an enum, in their order.' }),
  attributes: list(z.object({ name: name(), type: name() }), MAX_COLUMNS)
    .exactOptional()
    .meta({ description: 'Of a composite, in their order.' }),
});

const object = z.object({
  key: name().meta({ description: 'The whole key in the bucket, or the path below the folder.' }),
  ...OBJECT_FIELDS,
  etag: ETAG_FIELD.meta({
    description: 'The ETag that it got; a copy has another one, so that nothing is proved by it.',
  }),
  snapshot: name().meta({ description: 'Id of the snapshot that it was read under.' }),
  partition: z.record(name(), name().nullable()).exactOptional().meta({
    description:
      'Of a run with partitionBy: the value of each of its columns that all rows of the object have, as Postgres prints it; null is NULL.',
  }),
});
/** An object of a run; `key` is its whole key in the bucket, or its path in the folder. */
export type ManifestObject = z.infer<typeof object>;

/** The window that a run is of; what comes from elsewhere as one is held to the same. */
export const runWindow = z
  .object({
    column: name(),
    from: point().meta({ description: 'The first point of the window.' }),
    to: point().meta({ description: 'The first point after it.' }),
  })
  .refine(({ from, to }) => from.length === to.length && from < to, { error: 'it must end after it begins' });

/** The partition that a run is of; what comes from elsewhere as one is held to the same. */
export const runPartition = z.object({
  name: name().meta({ description: 'Its name, schema.name.' }),
  oid: count().meta({ description: 'Its OID in the source.' }),
  bound: text(MAX_BOUND_CHARS).meta({
    description: "Its bound as Postgres prints it in UTC: FOR VALUES FROM ('2024-01-01') TO ('2024-02-01').",
  }),
});

const columnNames = list(name(), MAX_COLUMNS);

const BEFORE_OBJECTS = {
  format: z.literal(MANIFEST_FORMAT),
  archive: name().min(1).meta({ description: 'Name of the archive.' }),
  run: z
    .string()
    .regex(/^\d{8}T\d{6}Z(_\d{1,6})?$/)
    .refine(isRunId)
    .meta({ description: 'The run id: the slot or the start of the run, in UTC.' }),
  table: name().exactOptional().meta({ description: 'The archived table, schema.name. Either this or query.' }),
  query: text(MAX_QUERY_CHARS)
    .exactOptional()
    .meta({ description: 'The archived query, with :slot, or :from and :to replaced.' }),
  where: text(MAX_QUERY_CHARS).exactOptional().meta({ description: 'The filter on the table, as it was bound.' }),
  window: runWindow.exactOptional().meta({
    description:
      'The window of a time column that the rows are of, half-open. Of a date 2024-01-01, of a timestamp 2024-01-01T00:00:00, of a timestamptz the same with a Z, in UTC.',
  }),
  partition: runPartition.exactOptional().meta({
    description:
      'With every: partition, the partition of the table that the rows are of. No value of partitionBy: those are on the objects.',
  }),
  columns: list(column, MAX_COLUMNS).meta({ description: 'The columns, in the order of each line.' }),
  types: list(typeDefinition, MAX_TYPES).exactOptional().meta({
    description:
      'Domains, enums and composites that the columns are of, and those that these are made of. Absent in the first manifests.',
  }),
  partitionBy: list(name(), MAX_PARTITION_COLUMNS).exactOptional().meta({
    description: 'The columns by whose values the objects lie in folders, in the order of the folders. Absent without.',
  }),
  primaryKey: columnNames.meta({
    description: "Columns of the table's primary key; empty without one, and for a query.",
  }),
  inherited: z.boolean().exactOptional().meta({
    description: 'True when tables inherit from it that are no partitions of it: their rows are here as well.',
  }),
  cut: z
    .object({
      by: cutBy.meta({
        description:
          'key: each object holds one range of the key, in its order. pages: ranges of heap pages. none: one object. value: one value of partitionBy, or a range of the key of its rows.',
      }),
      key: columnNames.meta({
        description: 'The columns that firstKey and lastKey of the objects are of; empty without a key.',
      }),
    })
    .exactOptional()
    .meta({ description: 'How the rows were cut into objects. Absent in the first manifests.' }),
  source: z.object({
    database: name(),
    serverVersion: name(),
    systemIdentifier: name()
      .nullable()
      .meta({ description: 'pg_control_system().system_identifier; null where the role may not ask.' }),
  }),
  snapshot: z.object(SNAPSHOT_FIELDS).meta({ description: 'The snapshot that was read, the latest one of several.' }),
  consistency: z.enum(['single-snapshot', 'resumed', 'none']).meta({
    description:
      'single-snapshot: all rows are of one instant. resumed: objects were read under several snapshots. none: no snapshot covers the rows, as the archive allows it.',
  }),
  snapshots: list(z.object(SNAPSHOT_FIELDS), MAX_SEGMENTS).exactOptional().meta({
    description: 'All snapshots that objects were read under, oldest first; there only when the run was resumed.',
  }),
  rows: count().meta({ description: 'Rows, over all objects.' }),
  jsonBytes: count().meta({ description: 'Bytes of JSON Lines before compression, line feeds included.' }),
  bytes: count().meta({ description: 'Bytes of the objects.' }),
  previous: chainLink.nullable().exactOptional().meta({
    description:
      'The manifest that was committed before this one in the archive; null in the first one of the chain. Absent in the first manifests.',
  }),
  passedOver: passedOverRuns.exactOptional().meta({
    description:
      'Manifests that were about to be written, and that were not there when this run was committed. They may have come later.',
  }),
};
const AFTER_OBJECTS = {
  startedAt: time(),
  finishedAt: time(),
  host: name().meta({ description: 'Name of the machine that committed the run.' }),
  tool: z.object(TOOL_FIELDS),
};

export const manifestSchema = z
  .object({
    ...BEFORE_OBJECTS,
    objects: list(object, MAX_SEGMENTS).meta({
      description:
        'One for each segment, in the order of the plan; then empty ones, where an earlier plan of the run had more.',
    }),
    ...AFTER_OBJECTS,
  })
  .refine(hasOneSubject, { error: 'it must have either a table or a query' });

export type Manifest = z.infer<typeof manifestSchema>;

/** The same, whose objects need not be held. */
export type ListedManifest = Listed<Manifest>;

/** What a manifest says but for its objects. */
export type ManifestHead = Omit<Manifest, 'objects'>;

/** The same, and how many objects it names. */
export interface ManifestSummary extends ManifestHead {
  objects: { readonly length: number };
}

function hasOneSubject({ table, query }: { table?: unknown; query?: unknown }): boolean {
  return (table === undefined) !== (query === undefined);
}

/**
 * The folder in that of the run that an object must lie in; undefined for one that may be in any, as it has no rows, and was left
 * of another layout.
 */
export function folderOfObject(
  { partitionBy = [] }: Pick<Manifest, 'partitionBy'>,
  { rows, partition }: Pick<ManifestObject, 'rows' | 'partition'>,
): string | undefined {
  if (partition === undefined && rows === 0) return undefined;
  const values = partitionBy.map((column) => partition?.[column] ?? null);
  return partitionFolder(partitionBy, values);
}

/** The two together, in the order in which manifests are written. */
export function completeManifest<Objects extends ListedManifest['objects']>(
  head: ManifestHead,
  objects: Objects,
): ManifestHead & { objects: Objects } {
  const { startedAt, finishedAt, host, tool, ...before } = head;
  return { ...before, objects, startedAt, finishedAt, host, tool };
}

export const STRAY_PARTITION = 'it is not one value for each column of partitionBy';

/** Whether an object has not one value for each column of the layout. */
export function isStrayPartition(
  { partitionBy = [] }: Pick<Manifest, 'partitionBy'>,
  { rows, partition }: Pick<ManifestObject, 'rows' | 'partition'>,
): boolean {
  if (partition === undefined) return rows > 0 && partitionBy.length > 0;
  const isWhole = partitionBy.every((column) => Object.hasOwn(partition, column));
  return !isWhole || Object.keys(partition).length !== partitionBy.length || partitionBy.length === 0;
}

/** Before it is written as well: such a manifest could not be read again. */
function findStrayPartition(manifest: ListedManifest): string | undefined {
  let index = 0;
  for (const object of manifest.objects) {
    if (isStrayPartition(manifest, object)) return `[${index}].partition: ${STRAY_PARTITION}`;
    index += 1;
  }
  return undefined;
}

export const MANIFEST: DocumentKind<Manifest> = {
  name: 'manifest',
  format: MANIFEST_FORMAT,
  schema: manifestSchema,
  longList: { field: 'objects', item: object, mostItems: MAX_SEGMENTS, problem: findStrayPartition },
  maxBytes: MOST_BYTES,
  code: 'bad-manifest',
  stage: 'verify',
};
