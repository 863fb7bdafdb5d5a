/** The JSON Schema of the config file, for editors, from the declarations of the options. */
import * as z from 'zod';
import { configSchema } from '../config/schema.ts';

/** The parts of JSON Schema that the declarations use, with what their meta adds. */
export interface OptionSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: string[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  properties?: Record<string, OptionSchema>;
  required?: string[];
  additionalProperties?: OptionSchema | boolean;
  items?: OptionSchema;
  anyOf?: OptionSchema[];
  secret?: boolean;
  unit?: 'bytes' | 'ms';
  defaultText?: string;
  [keyword: string]: unknown;
}

/** The form of the options as they are written, with the meta of the declarations. */
export function describeOptions(): OptionSchema {
  return z.toJSONSchema(configSchema, { io: 'input' }) as OptionSchema;
}

/** The JSON Schema that is published. */
export function buildJsonSchema(): OptionSchema {
  const { $schema, ...options } = describeOptions();
  return {
    $schema,
    title: 'pgsluice config',
    ...publish(options),
    $defs: {
      reference: {
        type: 'string',
        pattern: '\\$\\{.+\\}',
        description: 'A reference, ${NAME}, ${NAME:-default} or ${file:/path}.',
      },
    },
  };
}

function publish({ secret: _secret, unit: _unit, defaultText: _text, ...schema }: OptionSchema): OptionSchema {
  const { properties, additionalProperties, items } = schema;
  if (properties !== undefined) {
    schema.properties = Object.fromEntries(Object.entries(properties).map(([key, option]) => [key, publish(option)]));
  }
  if (typeof additionalProperties === 'object') schema.additionalProperties = publish(additionalProperties);
  if (items !== undefined) schema.items = publish(items);
  return isFreeText(schema) ? schema : allowReference(schema);
}

/** Whether every reference is valid already, as are all texts; mappings and lists are not references. */
function isFreeText({ type, pattern, enum: values, anyOf, const: constant }: OptionSchema): boolean {
  if (type === 'object' || type === 'array') return true;
  return (
    type === 'string' && pattern === undefined && values === undefined && anyOf === undefined && constant === undefined
  );
}

/** Numbers, booleans and enumerations may be interpolated too. */
function allowReference({ description, default: defaultValue, anyOf, ...schema }: OptionSchema): OptionSchema {
  return {
    ...(description === undefined ? {} : { description }),
    ...(defaultValue === undefined ? {} : { default: defaultValue }),
    anyOf: [...(anyOf ?? [schema]), { $ref: '#/$defs/reference' }],
  };
}
