import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, configKeys, parseConfig } from './config.js';

const least = {
  DATABASE_URL: 'postgres://iocloud:secret@127.0.0.1:5432/iocloud',
  REDIS_URL: 'redis://127.0.0.1:6379',
  IOCLOUD_DATA_DIR: '/data',
  IOCLOUD_SECRETS_DIR: '/secrets',
};

test('what is not said has a default', () => {
  expect(parseConfig(least)).toMatchObject({ httpHost: '127.0.0.1', httpPort: 8265, idleTimeoutSeconds: 600 });
});

test('variables of others are none of its business', () => {
  expect(() => parseConfig({ ...least, PATH: '/bin', IOCLOUD_HOME: '/home', IOCLOUD_NODE_CPUS: '4' })).not.toThrow();
});

test('README.md names every key, and no other', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const section = readme.slice(readme.indexOf('## Configuration'), readme.indexOf('Metadata keys of a job'));
  const named = new Set(section.match(/\b(IOCLOUD|DATABASE|REDIS|SOLANA|PROMETHEUS|OTEL)_[A-Z_]*[A-Z]\b/g));
  for (const key of configKeys) expect(named).toContain(key);
  for (const key of named) {
    const unknown = parseConfigFault({ ...least, [key]: least[key as keyof typeof least] ?? '1' });
    expect(unknown).not.toMatch(/^unknown/);
  }
});

const parseConfigFault = (environment: Record<string, string>): string => {
  try {
    parseConfig(environment);
    return '';
  } catch (error) {
    return (error as ConfigError).message;
  }
};

describe('one line says what is wrong', () => {
  test.each([
    [{ IOCLOUD_HTPP_PORT: '1' }, 'unknown configuration key IOCLOUD_HTPP_PORT'],
    [{ IOCLOUD_HTTP_PORT: '65536' }, 'IOCLOUD_HTTP_PORT'],
    [{ IOCLOUD_MAX_PACKAGE_BYTES: 'much' }, 'IOCLOUD_MAX_PACKAGE_BYTES'],
    [{ DATABASE_URL: undefined }, 'DATABASE_URL'],
    [{ IOCLOUD_LOG_LEVEL: 'loud' }, 'IOCLOUD_LOG_LEVEL'],
  ])('%j', (more, message) => {
    const parse = () => parseConfig({ ...least, ...(more as Record<string, string | undefined>) });
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(message);
    expect(parse).toThrow(/^[^\n]*README\.md[^\n]*$/);
    expect(parse).not.toThrow('secret');
  });
});
