import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { localNext, refuseForeignForm } from './login.js';

describe('where a login leads', () => {
  test.each([
    ['/clusters/', '/clusters/'],
    ['/clusters/cl_1/dashboard/', '/clusters/cl_1/dashboard/'],
    ['/clusters/cl_1/dashboard/?a=b#/jobs', '/clusters/cl_1/dashboard/?a=b#/jobs'],
  ])('%s is followed', (wanted, expected) => expect(localNext(wanted)).toBe(expected));

  test.each([
    'https://evil.example/clusters/',
    '//evil.example/clusters/',
    '/clusters/../login',
    '/clusters/%2e%2e/login',
    '/clusters/\\..\\..\\evil',
    '/\\evil.example',
    '/v1/clusters',
    'javascript:alert(1)',
    '/clusters/\r\nSet-Cookie: a=b',
    '',
    null,
  ])('%j leads to the list of clusters instead', wanted => expect(localNext(wanted)).toBe('/clusters/'));
});

describe('a login form', () => {
  const form = (headers: Record<string, string>) =>
    ({ headers: { host: 'here:8265', ...headers } }) as unknown as IncomingMessage;

  test.each<[Record<string, string>, string]>([
    [{}, 'no browser'],
    [{ origin: 'http://here:8265' }, 'our own page'],
    [{ origin: 'http://here:8265', 'sec-fetch-site': 'same-origin' }, 'our own page in a new browser'],
    [{ origin: 'https://ray.example.com' }, 'our page behind a proxy'],
  ])('%j is taken (%s)', (headers, _) => {
    expect(() => refuseForeignForm(form(headers), 'https://ray.example.com')).not.toThrow();
  });

  test.each([
    [{ origin: 'http://evil.example' }],
    [{ origin: 'http://here:9999' }],
    [{ origin: 'null' }],
    [{ origin: 'not a url' }],
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ origin: 'http://here:8265', 'sec-fetch-site': 'same-site' }],
  ])('of another site is refused: %j', headers => {
    expect(() => refuseForeignForm(form(headers), undefined)).toThrow(/another site/);
  });
});
