/** CustomResourceDefinitions, made of zod schemas. */
import { z } from 'zod';

type Schema = Record<string, unknown>;

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON Schema as zod writes it → the structural subset that Kubernetes takes. */
function structural(schema: Schema): Schema {
  if (schema['x-kubernetes-int-or-string']) return { 'x-kubernetes-int-or-string': true };
  const nullable = nullableAlternative(schema);
  if (nullable) return { ...structural(nullable), nullable: true };
  const result: Schema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === '$schema' || key === 'propertyNames') continue;
    if (key === 'properties' && isObject(value)) {
      result.properties = Object.fromEntries(
        Object.entries(value).map(([name, property]) => [name, structural(property as Schema)]),
      );
    } else if (key === 'items') result.items = structural(value as Schema);
    else if (key === 'additionalProperties') {
      // Unknown fields are pruned or preserved in Kubernetes; a map of known values keeps its schema.
      const map = isObject(value) && Object.keys(value).length > 0;
      if (map && !schema['x-kubernetes-preserve-unknown-fields']) result.additionalProperties = structural(value);
    } else result[key] = value;
  }
  if (result.type === 'integer') {
    result.format = 'int64';
    // The bounds of JavaScript's own integers say nothing of the field.
    for (const bound of ['minimum', 'maximum'])
      if (Math.abs(Number(result[bound])) === Number.MAX_SAFE_INTEGER) delete result[bound];
  }
  return result;
}

function nullableAlternative(schema: Schema): Schema | undefined {
  const alternatives = schema.anyOf as Schema[] | undefined;
  if (alternatives?.length !== 2 || !alternatives.some(alternative => alternative.type === 'null')) return undefined;
  return alternatives.find(alternative => alternative.type !== 'null');
}

/** Of `kubectl get`; those of priority 1 with `-o wide`. */
export type Column = [name: string, type: string, jsonPath: string, priority?: number];

export interface Definition {
  group: string;
  version: string;
  kind: string;
  plural: string;
  shortNames: string[];
  columns: Column[];
  /** Of spec and status. */
  schema: z.ZodType;
  /** Beside `status`: for `kubectl scale`. */
  scale?: { specReplicasPath: string; statusReplicasPath: string };
}

export function customResourceDefinition(definition: Definition): Schema {
  const { group, version, kind, plural, shortNames, columns, scale } = definition;
  const schema = structural(z.toJSONSchema(definition.schema, { io: 'input' }) as Schema);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames, categories: ['all'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {}, ...(scale ? { scale } : {}) },
          additionalPrinterColumns: columns.map(([name, type, jsonPath, priority]) => ({
            name,
            type,
            jsonPath,
            ...(priority ? { priority } : {}),
          })),
          schema: {
            openAPIV3Schema: {
              ...schema,
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                ...(schema.properties as Schema),
              },
            },
          },
        },
      ],
    },
  };
}
