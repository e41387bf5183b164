import type { ClusterLoad, LeaseId, Node, RayNodeLoad } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { loadInWords, nodeLoadInWords, rayNodeLoadInWords } from './load-render.js';
import { parseGroup } from './quantities.js';

const nowMs = Date.parse('2026-01-01T00:01:00.000Z');
const load: ClusterLoad = {
  readAt: '2026-01-01T00:00:58.000Z',
  resources: { disk: { used: 1, total: 2 }, memory: { used: 2 ** 30, total: 2 ** 31 }, CPU: { used: 1.5, total: 4 } },
  waiting: [{ resources: { CPU: 2, GPU: 1 }, count: 3 }],
  waitingGroups: [{ bundles: 4, resources: { CPU: 8 } }],
  nodes: [],
};

test('a cluster’s load says what is in use and what waits', () => {
  expect(loadInWords(load, nowMs)).toBe(
    [
      'IN USE  USED   OF',
      'CPU     1.5    4',
      'memory  1 GiB  2 GiB',
      'disk    1      2',
      '',
      'WAITING               FOR',
      '3 tasks or actors     2 CPU, 1 GPU each',
      'placement group of 4  8 CPU (as of 2s ago)',
    ].join('\n'),
  );
  expect(loadInWords({ ...load, waiting: [], waitingGroups: [] }, nowMs)).toContain('nothing waits for room');
});

test('a Ray node’s load says what it does and for how long', () => {
  const node: RayNodeLoad = {
    leaseId: 'ls_00000000000000000001' as LeaseId,
    group: 'w',
    state: 'idle',
    since: '2026-01-01T00:00:10.000Z',
    resources: {},
  };
  expect(rayNodeLoadInWords(node, nowMs)).toBe('idle for 50s');
  expect(rayNodeLoadInWords(undefined, nowMs)).toBe('-');
});

test('a machine’s load counts what is leased', () => {
  const node = { load: { state: 'hot', cpusUsed: 3, devicesUsed: 1 }, cpusLeased: 4, devicesLeased: [0, 2] } as Node;
  expect(nodeLoadInWords(node)).toBe('hot: 3 of 4 leased CPUs, 1 of 2 leased devices in use');
  expect(nodeLoadInWords({ ...node, cpusLeased: 0, devicesLeased: [] })).toBe('idle, nothing is leased');
});

test('a group is typed with bounds, and begins at the lower one unless it says otherwise', () => {
  expect(parseGroup('name=w,cpus=2,min=1,max=4,idle=2m')).toEqual({
    name: 'w',
    cpus: 2,
    count: 1,
    minCount: 1,
    maxCount: 4,
    idleTimeoutSeconds: 120,
  });
  expect(parseGroup('name=w,cpus=2,max=4,count=3').count).toBe(3);
  expect(parseGroup('name=w,cpus=2,max=4').count).toBe(0);
  expect(parseGroup('name=w,cpus=2').count).toBe(1);
});
