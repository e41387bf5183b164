import { expect, test } from '@jest/globals';
import type { MegaRayClusterSpec } from '../../api/megaraycluster.js';
import { aCellGroup, aMega } from '../testing/mega-builders.js';
import { validateMega } from './validation.js';

test('an ordinary one has no problems', () => expect(validateMega(aMega())).toEqual([]));

const group = aCellGroup();
const templated = (metadata: { labels?: Record<string, string> }) =>
  aCellGroup({ template: { ...group.template, metadata } });
const badCell = { ...group.template.spec, headGroupSpec: { template: { spec: { containers: [] } } } };

test.each<[string, Partial<MegaRayClusterSpec>]>([
  ['cellGroups[Bad_Name].name', { cellGroups: [aCellGroup({ name: 'Bad_Name' })] }],
  ['minReplicas (3) is above maxReplicas (2)', { cellGroups: [aCellGroup({ minReplicas: 3, maxReplicas: 2 })] }],
  [
    'local/a is named more than once',
    { cellGroups: [aCellGroup({ places: [{ kubernetesCluster: 'local', domains: ['a', 'a'] }] })] },
  ],
  [
    'is no value of a node',
    { cellGroups: [aCellGroup({ places: [{ kubernetesCluster: 'local', domains: ['a b'] }] })] },
  ],
  ['is no name of a cluster', { cellGroups: [aCellGroup({ places: [{ kubernetesCluster: '../x' }] })] }],
  ["is the operator's", { cellGroups: [templated({ labels: { 'mega.iocloud.io/cluster': 'x' } })] }],
  ['cellGroups[h100].template.spec.headGroupSpec', { cellGroups: [aCellGroup({ template: { spec: badCell } })] }],
  ['rollout.maxSurge', { rollout: { maxSurge: '120%' } }],
  ['rollout.maxUnavailable', { rollout: { maxUnavailable: 'some' } }],
  ['nothing could ever be changed', { rollout: { maxUnavailable: 0, maxSurge: '0%' } }],
  ["below the groups' minReplicas", { cellGroups: [aCellGroup({ minReplicas: 5 })] }],
  ["above the groups' maxReplicas", { cellGroups: [aCellGroup({ maxReplicas: 3 })] }],
])('%s', (words, spec) => {
  expect(validateMega(aMega(spec)).join('\n')).toContain(words);
});

test('its name is a label of its cells', () => {
  expect(validateMega(aMega({}, { name: 'x'.repeat(64) }))).toHaveLength(1);
  expect(validateMega(aMega({}, { name: 'a.b' }))).toHaveLength(1);
});
