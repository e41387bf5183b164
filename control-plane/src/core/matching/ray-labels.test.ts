import type { Device, NodeId, TenantId } from '@iocloud/contracts';
import { nodeTerms } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { classify } from './accelerator-lookup.js';
import { accelerators } from './accelerators.js';
import { fleetNodeOf, meets } from './demand.js';
import { rayLabelsOf, requirementsOfLabels, withLabels } from './ray-labels.js';

const GiB = 2 ** 30;
const type = 'ray.io/accelerator-type';
const device = (index: number, model: string, memoryBytes = 80 * GiB, more: Partial<Device> = {}): Device => ({
  index,
  uuid: `gpu-${index}`,
  vendor: 'nvidia',
  model,
  memoryBytes,
  simulated: false,
  ...more,
});
const machine = (devices: Device[], region: string | null = null) => ({ devices, terms: nodeTerms.parse({ region }) });
const a100 = ['a100-40-pcie', 'a100-40-sxm', 'a100-80-pcie', 'a100-80-sxm'];

describe('labels of a Ray node', () => {
  test.each([
    ['NVIDIA A100-SXM4-80GB', 80, 'A100'],
    ['NVIDIA H100 80GB HBM3', 80, 'H100'],
    ['Tesla T4', 16, 'T4'],
    ['NVIDIA A40', 48, 'A40'],
    ['NVIDIA RTX 6000 Ada Generation', 48, 'RTX-6000'],
    ['NVIDIA GeForce RTX 4090', 24, 'GeForce-RTX-4090'],
    ['NVIDIA T-1000', 24, 'T-1000'],
  ])('%s is of the type that Ray itself makes of it', (model, gibibytes, expected) => {
    expect(rayLabelsOf(machine([device(0, model, gibibytes * GiB)]), [0])).toEqual({ [type]: expected });
  });

  test('a simulated device has the type of whom it stands for, one of AMD that of Ray’s table', () => {
    const h100 = device(0, 'H100', 80 * GiB, { simulated: true });
    const mi300x = device(1, 'AMD Instinct MI300X', 192 * GiB, { vendor: 'amd' });
    expect(rayLabelsOf(machine([h100, mi300x]), [0])).toEqual({ [type]: 'H100' });
    expect(rayLabelsOf(machine([h100, mi300x]), [1])).toEqual({ [type]: 'AMD-Instinct-MI300X-OAM' });
  });

  test('only what is leased counts, the region is the machine’s', () => {
    const mixed = machine([device(0, 'NVIDIA A100-SXM4-80GB'), device(1, 'NVIDIA H100 80GB HBM3')], 'eu-west');
    const region = { 'ray.io/availability-region': 'eu-west', 'ray.io/region': 'eu-west' };
    expect(rayLabelsOf(mixed, [1])).toEqual({ [type]: 'H100', ...region });
    expect(rayLabelsOf(mixed, [])).toEqual(region);
    expect(rayLabelsOf(machine([]), [])).toEqual({});
  });
});

describe('a label selector', () => {
  test.each([
    [{}, {}],
    [{ [type]: 'A100' }, { accelerators: a100 }],
    [{ [type]: 'in(A100, L4)' }, { accelerators: [...a100, 'l4'] }],
    [{ [type]: 'A40' }, { accelerators: ['a40'] }],
    [{ [type]: 'H20' }, { accelerators: ['H20', 'NVIDIA H20'] }],
    [{ [type]: 'RTX-PRO-9000' }, { accelerators: ['RTX-PRO-9000', 'NVIDIA RTX PRO 9000'] }],
    [{ [type]: '!A100' }, {}],
    [{ [type]: '!in(A100)', zone: 'a' }, {}],
    [{ 'ray.io/availability-region': 'in(eu-west,us-east)' }, { regions: ['eu-west', 'us-east'] }],
    [{ 'ray.io/region': 'eu-west' }, { regions: ['eu-west'] }],
    [{ 'ray.io/region': 'in(eu-west,us-east)', 'ray.io/availability-region': 'us-east' }, { regions: ['us-east'] }],
    [{ 'ray.io/market-type': 'spot' }, {}],
  ])('%j requires %j', (selector, expected) => {
    const required = requirementsOfLabels(selector as Record<string, string>);
    const sorted = {
      ...required,
      ...(required.accelerators ? { accelerators: [...required.accelerators].sort() } : {}),
    };
    expect(sorted).toEqual('accelerators' in expected ? { accelerators: [...expected.accelerators].sort() } : expected);
  });

  test('asks for machines whose Ray nodes get the very label, for every model of the table', () => {
    for (const { aliases, memoryBytes, vendor } of accelerators) {
      for (const model of aliases) {
        if (vendor !== 'nvidia' && vendor !== 'amd') continue;
        const bytes = memoryBytes ?? 64 * GiB;
        const labels = rayLabelsOf(machine([device(0, model, bytes, { vendor })]), [0]);
        expect(labels[type]).toBeDefined();
        const { accelerators: slugs } = requirementsOfLabels(labels);
        expect([model, slugs]).toEqual([model, expect.arrayContaining([classify(model, bytes)])]);
      }
    }
  });

  test('adds to what is required besides, and cannot contradict it', () => {
    const more = { countries: ['DE'], accelerators: ['H100', 'a100 80gb'] };
    expect(withLabels(more, { [type]: 'A100' })).toEqual({ ...more, accelerators: ['a100-80-pcie', 'a100-80-sxm'] });
    expect(withLabels(more, { 'ray.io/region': 'eu-west' })).toEqual({ ...more, regions: ['eu-west'] });
    expect(withLabels(more, {})).toEqual(more);
    expect(withLabels(more, { [type]: 'L4' })).toEqual({ key: type, message: expect.stringContaining('none of H100') });
    expect(withLabels({ regions: ['us-east'] }, { 'ray.io/region': 'eu-west' })).toMatchObject({
      key: 'ray.io/region',
    });
    const apart = { 'ray.io/region': 'a', 'ray.io/availability-region': 'b' };
    expect(withLabels({}, apart)).toMatchObject({ message: expect.stringContaining('the other label') });
  });

  test('with a type that the table lacks finds a machine whose driver calls its device so', () => {
    const h20 = device(0, 'NVIDIA H20', 96 * GiB);
    const offer = { ...machine([h20]), nodeId: 'nd_a' as NodeId, ownerId: 'tn_a' as TenantId, shared: false };
    const node = fleetNodeOf({
      ...offer,
      schedulable: true,
      reputation: 1,
      cpus: 4,
      memoryBytes: 64 * GiB,
      rayVersions: [],
    });
    expect(rayLabelsOf(machine([h20]), [0])).toEqual({ [type]: 'H20' });
    expect(meets(node, offer.ownerId, requirementsOfLabels({ [type]: 'H20' }))).toBe(true);
    expect(meets(node, offer.ownerId, requirementsOfLabels({ [type]: 'H200' }))).toBe(false);
  });

  test('with a name that Ray does not use is told Ray’s', () => {
    for (const wrong of ['a100', 'a100-80-sxm', 'A100-PCIE-40GB']) {
      expect(withLabels({}, { [type]: wrong })).toMatchObject({
        key: type,
        message: expect.stringContaining('mean A100'),
      });
    }
    expect(withLabels({}, { 'ray.io/region': 'Eu-West' })).toMatchObject({
      message: expect.stringMatching(/no region/),
    });
  });
});
