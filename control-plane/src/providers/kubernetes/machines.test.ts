import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { classify } from '../../core/matching/index.js';
import { offeredBy } from './machines.js';
import type { AnyPod, KubernetesNode } from './objects.js';

const node = (changes: Partial<KubernetesNode> = {}, labels: Record<string, string> = {}): KubernetesNode => ({
  metadata: { name: 'n', namespace: '', uid: 'u', labels },
  status: {
    allocatable: { cpu: '16', memory: '64Gi', 'nvidia.com/gpu': '8' },
    conditions: [{ type: 'Ready', status: 'True' }],
  },
  ...changes,
});
const asking = (requests: Record<string, string>): AnyPod => ({
  metadata: { name: 'p', namespace: 'd', uid: 'p' },
  spec: { nodeName: 'n', containers: [{ name: 'c', resources: { requests } }] },
});

describe('a node as a machine', () => {
  test('never offers more than what pods of others leave, and never less than nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.integer({ min: 0, max: 5 })), { maxLength: 6 }),
        pods => {
          const foreign = pods.map(([milli, gpus]) => asking({ cpu: `${milli}m`, 'nvidia.com/gpu': String(gpus) }));
          const { inventory } = offeredBy(node(), foreign, '2.60.0');
          const cpus = 16_000 - pods.reduce((sum, [milli]) => sum + milli, 0);
          const gpus = 8 - pods.reduce((sum, [, each]) => sum + each, 0);
          expect(inventory.cpus).toBeCloseTo(Math.max(0, cpus) / 1_000, 9);
          expect(inventory.devices.map(({ index }) => index)).toEqual(
            Array.from({ length: Math.max(0, gpus) }, (_, i) => i),
          );
        },
      ),
    );
  });

  test.each([
    [
      { 'nvidia.com/gpu.product': 'NVIDIA-H100-80GB-HBM3', 'nvidia.com/gpu.memory': '81559' },
      'nvidia.com/gpu',
      'h100-sxm',
    ],
    [
      { 'nvidia.com/gpu.product': 'NVIDIA-A100-SXM4-40GB', 'nvidia.com/gpu.memory': '40960' },
      'nvidia.com/gpu',
      /^a100/,
    ],
    // Shared in time: none of them is a whole one.
    [
      { 'nvidia.com/gpu.product': 'NVIDIA-A100-SXM4-40GB-SHARED', 'nvidia.com/gpu.memory': '40960' },
      'nvidia.com/gpu',
      null,
    ],
    [{ 'amd.com/gpu.product-name': 'AMD_Instinct_MI300X', 'amd.com/gpu.vram': '192G' }, 'amd.com/gpu', /^mi300x/],
    [{}, 'nvidia.com/gpu', null],
  ])('has its accelerators classified by the labels %j', (labels, resource, slug) => {
    const status = { allocatable: { [resource]: '1' }, conditions: [] };
    const [device] = offeredBy(node({ status }, labels), [], '2.60.0').inventory.devices;
    const found = device ? classify(device.model, device.memoryBytes) : undefined;
    if (slug instanceof RegExp) expect(found).toMatch(slug);
    else expect(found).toBe(slug);
  });

  test('counts what runs before a pod’s containers as the scheduler does', () => {
    const pod = asking({ cpu: '2' });
    const initContainers = [
      { resources: { requests: { cpu: '5' } } },
      { restartPolicy: 'Always', resources: { requests: { cpu: '1' } } },
    ];
    expect(offeredBy(node(), [{ ...pod, spec: { ...pod.spec, initContainers } }], '2.60.0').inventory.cpus).toBe(11);
  });

  test('is kept from Ray pods by taints of others’ making, and not by those of accelerators or of its state', () => {
    const tainted = (key: string) =>
      offeredBy(node({ spec: { taints: [{ key, effect: 'NoSchedule' }] } }), [], '2.60.0');
    expect(tainted('node-role.kubernetes.io/control-plane').isKeptFromUs).toBe(true);
    expect(tainted('nvidia.com/gpu').isKeptFromUs).toBe(false);
    expect(tainted('node.kubernetes.io/not-ready').isKeptFromUs).toBe(false);
  });
});
