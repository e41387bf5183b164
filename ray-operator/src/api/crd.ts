/** The CustomResourceDefinition of RayCluster, made of its zod schema. `npm run crd` writes it down. */
import { z } from 'zod';
import { rayClusterSchema } from './raycluster.js';

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

/** What `kubectl get raycluster` shows; those of priority 1 with `-o wide`. */
const columns: [name: string, type: string, jsonPath: string, priority?: number][] = [
  ['desired workers', 'integer', '.status.desiredWorkerReplicas'],
  ['available workers', 'integer', '.status.availableWorkerReplicas'],
  ['cpus', 'string', '.status.desiredCPU'],
  ['memory', 'string', '.status.desiredMemory'],
  ['gpus', 'string', '.status.desiredGPU'],
  ['tpus', 'string', '.status.desiredTPU', 1],
  ['status', 'string', '.status.state'],
  ['age', 'date', '.metadata.creationTimestamp'],
  ['head pod IP', 'string', '.status.head.podIP', 1],
  ['head service IP', 'string', '.status.head.serviceIP', 1],
];

export function rayClusterDefinition(): Schema {
  const schema = structural(z.toJSONSchema(rayClusterSchema, { io: 'input' }) as Schema);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'rayclusters.ray.io' },
    spec: {
      group: 'ray.io',
      scope: 'Namespaced',
      names: {
        kind: 'RayCluster',
        listKind: 'RayClusterList',
        plural: 'rayclusters',
        singular: 'raycluster',
        shortNames: ['rayc'],
        categories: ['all'],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
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
