import { expect, test } from '@jest/globals';
import type { RayClusterSpec } from '../api/raycluster.js';
import { aCluster, aGroup, aTemplate } from './testing/builders.js';
import { validate } from './validation.js';

test('an ordinary cluster has no problems', () => expect(validate(aCluster())).toEqual([]));

const redis = { redisAddress: 'redis:6379' };

test.each<[string, Partial<RayClusterSpec>]>([
  ['no container', { headGroupSpec: { template: { spec: { containers: [] } } } }],
  ['no quantity', { headGroupSpec: { template: aTemplate('ray-head', { memory: 'lots' }) } }],
  ["headgroup is the head's", { workerGroupSpecs: [aGroup({ groupName: 'headgroup' })] }],
  ['at most 63', { workerGroupSpecs: [aGroup({ groupName: 'Bad_Name' })] }],
  ['is above maxReplicas', { workerGroupSpecs: [aGroup({ minReplicas: 2, maxReplicas: 1 })] }],
  ['used more than once', { workerGroupSpecs: [aGroup(), aGroup()] }],
  ['from 2.52 on', { rayVersion: '2.9.0', authOptions: { mode: 'token' } }],
  ['no meaning where mode is disabled', { authOptions: { mode: 'disabled', secretName: 'mine' } }],
])('%s', (words, spec) => {
  const text = words === 'no container' ? 'there is none' : words;
  expect(validate(aCluster(spec)).join('\n')).toContain(text);
});

test('names that leave no room in a host name are refused', () => {
  expect(validate(aCluster({}, { name: 'x'.repeat(53) }))).toHaveLength(1);
  expect(validate(aCluster({}, { name: '1st' }))).toHaveLength(1);
});

test('fault tolerance cannot be wanted and refused at once', () => {
  const annotations = { 'ray.io/ft-enabled': 'false' };
  expect(validate(aCluster({ gcsFaultToleranceOptions: redis }, { annotations }))).toHaveLength(1);
});
