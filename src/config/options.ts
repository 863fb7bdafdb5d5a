/** Finds the declaration of an option by its path. */
import * as z from 'zod';
import { writeDuration, writeSize } from '../base/units.ts';
import type { Path } from './draft.ts';
import { configSchema } from './schema.ts';
import { nameWithUnit, type Unit } from './unit-names.ts';

/** The keys that the mapping at `path` may have; none when its keys are free names. */
export function optionKeys(path: Path): string[] {
  return keysOf(path.reduce<Option>((at, step) => child(at, String(step)), ROOT));
}

/** Whether the option at `path`, or one that it is a part of, is secret. */
export function isSecretOption(path: Path): boolean {
  let option = ROOT;
  for (const step of path) {
    option = child(option, String(step));
    if (option.isSecret) return true;
  }
  return false;
}

/** A copy of a tree of option values in which every secret is replaced. */
export function mapSecrets(tree: unknown, replace: (secret: unknown) => unknown): unknown {
  return mapOption(tree, ROOT, replace);
}

/** A copy of a tree of option values in which the name of each duration and size ends in its unit. */
export function withUnits(tree: unknown): unknown {
  return rename(tree, ROOT, (option, key) => ({ name: nameWithUnit(key, child(option, key).unit), written: key }));
}

/** The reverse of {@link withUnits}. */
export function withoutUnits(tree: unknown): unknown {
  return rename(tree, ROOT, (option, key) => {
    const written = keysOf(option).find((candidate) => nameWithUnit(candidate, child(option, candidate).unit) === key);
    return { name: written ?? key, written: written ?? key };
  });
}

/** A copy of a tree of option values in which durations and sizes are the texts that a file would have. */
export function withWrittenValues(tree: unknown): unknown {
  return mapUnits(tree, ROOT);
}

interface Option {
  schema: z.core.$ZodType | undefined;
  isSecret: boolean;
  unit: Unit | undefined;
}

const ROOT: Option = { schema: configSchema, isSecret: false, unit: undefined };

type NameOption = (parent: Option, key: string) => { name: string; written: string };

function rename(value: unknown, option: Option, nameOf: NameOption): unknown {
  if (Array.isArray(value)) return value.map((item) => rename(item, child(option, 'item'), nameOf));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => {
      const { name, written } = nameOf(option, key);
      return [name, rename(entry, child(option, written), nameOf)];
    }),
  );
}

function mapOption(value: unknown, option: Option, replace: (secret: unknown) => unknown): unknown {
  if (option.isSecret) return value === undefined ? undefined : replace(value);
  if (Array.isArray(value)) return value.map((item) => mapOption(item, child(option, 'item'), replace));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, mapOption(entry, child(option, key), replace)]),
  );
}

function mapUnits(value: unknown, option: Option): unknown {
  if (typeof value === 'number' && option.unit !== undefined)
    return option.unit === 'ms' ? writeDuration(value) : writeSize(value);
  if (Array.isArray(value)) return value.map((item) => mapUnits(item, child(option, 'item')));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, mapUnits(entry, child(option, key))]));
}

function keysOf({ schema }: Option): string[] {
  const inner = schema === undefined ? undefined : unwrap(schema);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function child({ schema }: Option, key: string): Option {
  const parent = schema === undefined ? undefined : unwrap(schema);
  if (parent instanceof z.ZodRecord) return describe(parent.valueType);
  if (parent instanceof z.ZodArray) return describe(parent.element);
  if (parent instanceof z.ZodObject && Object.hasOwn(parent.shape, key)) {
    return describe((parent.shape as Record<string, z.core.$ZodType>)[key]);
  }
  return { schema: undefined, isSecret: false, unit: undefined };
}

function describe(schema: z.core.$ZodType | undefined): Option {
  const meta = schema === undefined ? undefined : z.globalRegistry.get(schema);
  return { schema, isSecret: meta?.secret === true, unit: meta?.unit };
}

/** The schema inside of defaults and optionals. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const isWrapper =
    schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional;
  return isWrapper ? unwrap(schema.def.innerType) : schema;
}
