import { describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { api, type Route } from './api.js';
import { openApiDocument } from './openapi.js';
import { permissions, rolePermissions } from './permissions.js';

const routes = Object.entries<Route>(api);

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    const result = await validator.validate(structuredClone(openApiDocument('1.2.3')));
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
    expect(validator.version).toBe('3.1');
  });

  test('has every route of the table, with its permission', () => {
    const document = openApiDocument('1.2.3') as {
      paths: Record<string, Record<string, { operationId?: string; security?: unknown[] }>>;
    };
    const operations = Object.values(document.paths).flatMap(path => Object.values(path));
    const ids = new Set(operations.map(operation => operation.operationId));
    for (const [name, route] of routes) {
      if (route.method !== 'all') expect([name, ids.has(name)]).toEqual([name, true]);
    }
  });
});

describe('the route table', () => {
  test('has each method and path once', () => {
    const keys = routes.map(([, route]) => `${route.method} ${route.path}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('declares a parameter schema for exactly the placeholders of each path', () => {
    for (const [name, route] of routes) {
      const placeholders = [...route.path.matchAll(/\{(\w+)\}/g)].map(match => match[1]).sort();
      expect([name, Object.keys(route.params?.shape ?? {}).sort()]).toEqual([name, placeholders]);
    }
  });

  test('leaves public only what must be', () => {
    const open = routes.filter(([, route]) => route.access === 'public').map(([, route]) => route.path);
    expect(open.sort()).toEqual(publicPaths);
  });

  const publicPaths = [
    '/',
    '/activate',
    '/activate',
    '/agent/{file}',
    '/clusters/',
    '/clusters/status',
    '/clusters/{clusterId}/dashboard',
    '/clusters/{clusterId}/login',
    '/clusters/{clusterId}/terminal',
    '/docs/*',
    '/healthz',
    '/install.sh',
    '/login',
    '/openapi.json',
    '/readyz',
    '/terminal/*',
    '/v1/device-authorizations',
    '/v1/device-authorizations/answer',
    '/v1/device-authorizations/progress',
  ];
});

test('no role may do more than an owner, and each permission is of use to somebody', () => {
  for (const granted of Object.values(rolePermissions)) {
    for (const permission of granted) expect(permissions).toContain(permission);
  }
  for (const permission of permissions) {
    expect(Object.values(rolePermissions).some(granted => granted.includes(permission))).toBe(true);
  }
});
