import { expect, test } from '@jest/globals';
import { ConfigError, parseConfig } from './config.js';

test('with nothing set all has a value', () => {
  expect(parseConfig({})).toMatchObject({ watchNamespace: '', leaseSeconds: 15, concurrency: 128, waitForHead: true });
});

test.each([
  ['RAY_OPERATOR_LEASE_SECONDS', '1'],
  ['RAY_OPERATOR_CONCURRENCY', 'many'],
  ['RAY_OPERATOR_LOG_LEVEL', 'loud'],
  ['RAY_OPERATOR_WAIT_FOR_HEAD', 'perhaps'],
])('%s=%s stops the start with its name', (name, value) => {
  expect(() => parseConfig({ [name]: value })).toThrow(ConfigError);
  expect(() => parseConfig({ [name]: value })).toThrow(name);
});
