/** The OpenAPI 3.1 document, derived from the route table. */
import { z } from 'zod';
import { api, type Route } from './api.js';
import { problem } from './problem.js';

type Json = Record<string, unknown>;

/** The schemas found on the way, by name; what a client sends differs from what it gets where there are defaults. */
class Components {
  readonly schemas: Record<string, Json> = {};

  of(schema: z.ZodType, io: 'input' | 'output'): Json {
    const suffix = io === 'input' ? 'Input' : '';
    const plain = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
    const {
      $schema: _,
      $defs = {},
      ...rest
    } = JSON.parse(JSON.stringify(plain), (key, value) =>
      key === '$ref' && typeof value === 'string'
        ? `${value.replace('#/$defs/', '#/components/schemas/')}${suffix}`
        : value,
    ) as Json & { $defs?: Record<string, Json> };
    for (const [name, definition] of Object.entries($defs)) {
      const { id: __, ...body } = definition;
      this.schemas[`${name}${suffix}`] = body;
    }
    return rest;
  }
}

function parameters(components: Components, schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = components.of(schema, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }));
}

function operation(components: Components, operationId: string, route: Route): Json {
  const errors = route.ray
    ? { default: { description: 'an error, as a Ray head words it', content: { 'text/plain': {} } } }
    : {
        default: {
          description: 'a problem document (RFC 9457)',
          content: { 'application/problem+json': { schema: components.of(problem, 'output') } },
        },
      };
  const content = route.response
    ? { 'application/json': { schema: components.of(route.response, 'output') } }
    : route.contentType
      ? { [route.contentType]: {} }
      : undefined;
  return {
    operationId,
    summary: route.summary,
    tags: [route.tag],
    description: `Access: ${route.access}.`,
    security: route.access === 'public' ? [] : [{ apiKey: [] }],
    parameters: [
      ...parameters(components, route.params, 'path'),
      ...parameters(components, route.query, 'query'),
      ...(route.idempotent
        ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema: { type: 'string', maxLength: 255 } }]
        : []),
    ],
    ...(route.body
      ? {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: components.of(route.body, 'input') } },
          },
        }
      : {}),
    responses: { [route.status]: { description: route.summary, ...(content ? { content } : {}) }, ...errors },
  };
}

/** The whole document. `version` is the release of the control plane. */
export function openApiDocument(version: string): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  for (const [operationId, route] of Object.entries<Route>(api)) {
    const path = route.path.replace(/\*$/, '{rest}');
    const method = route.method === 'all' ? 'get' : route.method;
    paths[path] = { ...paths[path], [method]: operation(components, operationId, route) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Ray control plane', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: { schemas: components.schemas, securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
  };
}
