/** Finds the declaration of an option by its path. */
import { z } from 'zod';
import type { Path } from './draft.ts';
import { configSchema } from './schema.ts';

/** The keys that the mapping at `path` may have; none when its keys are free names. */
export function optionKeys(path: Path): string[] {
  const option = path.reduce<Option>((at, step) => child(at, String(step)), { schema: configSchema, isSecret: false });
  const schema = option.schema === undefined ? undefined : unwrap(option.schema);
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** A copy of a tree of option values in which every secret is replaced. */
export function mapSecrets(tree: unknown, replace: (secret: unknown) => unknown): unknown {
  return mapOption(tree, { schema: configSchema, isSecret: false }, replace);
}

interface Option {
  schema: z.core.$ZodType | undefined;
  isSecret: boolean;
}

function mapOption(value: unknown, option: Option, replace: (secret: unknown) => unknown): unknown {
  if (option.isSecret) return value === undefined ? undefined : replace(value);
  if (Array.isArray(value)) return value.map((item) => mapOption(item, child(option, 'item'), replace));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, mapOption(entry, child(option, key), replace)]),
  );
}

function child({ schema }: Option, key: string): Option {
  const parent = schema === undefined ? undefined : unwrap(schema);
  if (parent instanceof z.ZodRecord) return describe(parent.valueType);
  if (parent instanceof z.ZodArray) return describe(parent.element);
  if (parent instanceof z.ZodObject && Object.hasOwn(parent.shape, key)) {
    return describe((parent.shape as Record<string, z.core.$ZodType>)[key]);
  }
  return { schema: undefined, isSecret: false };
}

function describe(schema: z.core.$ZodType | undefined): Option {
  return { schema, isSecret: schema !== undefined && z.globalRegistry.get(schema)?.secret === true };
}

/** The schema inside of defaults and optionals. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapper =
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional;
  return isWrapper ? unwrap(schema.def.innerType) : schema;
}
