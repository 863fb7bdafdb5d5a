/** The JSON Schema of `_manifest.json`, for those who read it without pgsluice, from the declaration that it is read by. */
import * as z from 'zod';
import { itemOf } from '../ledger/fields.ts';
import { manifestSchema } from '../ledger/manifest.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** The JSON Schema that is published. Fields that it does not name may come with later versions. */
export function buildManifestSchema(): JsonSchema {
  return {
    title: 'Manifest of a pgsluice run: _manifest.json',
    description:
      'Says that a run is done, and proves its objects. Written last, create-only, never changed. Later versions may add fields.',
    ...describe(manifestSchema),
    oneOf: ['table', 'query'].map((field) => ({
      type: 'object',
      required: [field],
      properties: { [field]: { type: 'string' } },
    })),
  };
}

function describe(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const item = itemOf(zodSchema);
      if (item !== undefined) Object.assign(jsonSchema, { type: 'array', items: withoutDialect(describe(item)) });
      mergeNull(jsonSchema);
    },
  });
}

function withoutDialect({ $schema: _dialect, ...schema }: JsonSchema): JsonSchema {
  return schema;
}

/** A choice between something and null is easier to read as one of two types. */
function mergeNull(schema: JsonSchema): void {
  const [something, nothing] = schema.anyOf ?? [];
  if (typeof something !== 'object' || typeof nothing !== 'object' || nothing.type !== 'null') return;
  if (something.type === undefined) return;
  const { anyOf: _choice, ...others } = schema;
  for (const field of Object.keys(schema)) Reflect.deleteProperty(schema, field);
  Object.assign(schema, something, others, { type: [something.type, 'null'] });
}
