/** Small fleets and requests of few kinds, so that ties, full nodes and scarce devices are common. */
import type { NodeId, TenantId } from '@iocloud/contracts';
import fc from 'fast-check';
import type { FleetNode, PlacementRequest, WorkerGroup } from '../types.js';

export const GiB = 2 ** 30;
const slugs = ['h100-sxm', 'a100-80-sxm', 'l4', 'home-made'];
const tenants = ['t_a', 't_b'] as TenantId[];
const positions = [
  { latitudeDeg: 52.5, longitudeDeg: 13.4 },
  { latitudeDeg: 48.9, longitudeDeg: 2.4 },
  { latitudeDeg: 35.7, longitudeDeg: 139.7 },
  { latitudeDeg: null, longitudeDeg: null },
];
const third = fc.constantFrom(0, 0.5, 1);

export const nodeName = (number: number): NodeId => `nd_${String(number).padStart(4, '0')}` as NodeId;

export const anyNode = (number: number): fc.Arbitrary<FleetNode> =>
  fc
    .record({
      ownerId: fc.constantFrom(...tenants),
      shared: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      supplierId: fc.constantFrom('s1', 's2', 's3'),
      domain: fc.constantFrom('d1', 'd2', 'd3'),
      country: fc.constantFrom('DE', 'FR', 'JP', ''),
      region: fc.constantFrom('r1', 'r2'),
      position: fc.constantFrom(...positions),
      cpus: fc.integer({ min: 0, max: 12 }),
      memory: fc.integer({ min: 1, max: 8 }),
      pools: fc.uniqueArray(fc.tuple(fc.constantFrom(...slugs), fc.integer({ min: 1, max: 4 })), {
        maxLength: 2,
        selector: ([slug]) => slug,
      }),
      interconnect: fc.constantFrom('none', 'pcie', 'nvlink'),
      network: fc.constantFrom('ethernet', 'infiniband'),
      connectivity: fc.constantFrom('low', 'medium', 'high', 'ultra'),
      compliance: fc.subarray(['soc2', 'hipaa']),
      rayVersions: fc.subarray(['2.60.0', '2.51.2'], { minLength: 1 }),
      microUsdPerGpuHour: fc.constantFrom(300_000, 1_000_000, 1_000_001, 2_500_000),
      microUsdPerCpuHour: fc.constantFrom(0, 10_000),
      reputation: third,
      stake: third,
      load: third,
      schedulable: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    })
    .map(({ position, memory, pools, ...rest }): FleetNode => {
      let index = 0;
      return {
        nodeId: nodeName(number),
        ...rest,
        ...position,
        memoryBytes: memory * GiB,
        pools: pools.map(([model, count]) => ({
          model,
          count,
          indices: Array.from({ length: count }, () => index++),
          simulated: true,
        })),
      } as FleetNode;
    });

export const anyNodes = (min: number, max: number): fc.Arbitrary<FleetNode[]> =>
  fc.integer({ min, max }).chain(count => fc.tuple(...Array.from({ length: count }, (_, number) => anyNode(number))));

const anyGroup = (name: string, maxWorkers: number): fc.Arbitrary<WorkerGroup> =>
  fc.record({
    name: fc.constant(name),
    workers: fc.integer({ min: 1, max: maxWorkers }),
    cpus: fc.constantFrom(0, 0.1, 1, 2, 3),
    memoryBytes: fc.constantFrom(0, GiB, 2 * GiB),
    devices: fc.constantFrom(0, 0.3, 0.5, 1, 2, 3),
    accelerator: fc.option(
      fc.record(
        {
          models: fc.subarray(slugs, { minLength: 1 }),
          vendors: fc.constant(['nvidia']),
          minMemoryBytes: fc.constantFrom(24 * GiB, 80 * GiB),
          interconnect: fc.constantFrom('pcie' as const, 'nvlink' as const),
        },
        { requiredKeys: [] },
      ),
    ),
  });

const sometimes = <T, N>(arbitrary: fc.Arbitrary<T>, otherwise: N): fc.Arbitrary<T | N> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(otherwise) }, { weight: 1, arbitrary });

const weight = fc.constantFrom(0, 0.5, 1, 3);

export const anyRequest = (limits: { groups: number; workers: number }): fc.Arbitrary<PlacementRequest> =>
  fc.record({
    tenantId: fc.constantFrom(...tenants),
    groups: fc
      .integer({ min: 1, max: limits.groups })
      .chain(count => fc.tuple(...Array.from({ length: count }, (_, at) => anyGroup(`g${at}`, limits.workers)))),
    where: fc.record({
      countries: sometimes(fc.subarray(['DE', 'FR', 'US']), undefined),
      excludeCountries: sometimes(fc.subarray(['DE', 'JP']), undefined),
      regions: sometimes(fc.subarray(['r1', 'r2'], { minLength: 1 }), undefined),
      near: sometimes(fc.constant({ latitudeDeg: 50.1, longitudeDeg: 8.7 }), undefined),
      maxLatencyMs: sometimes(fc.constantFrom(10, 20), undefined),
    }),
    compliance: sometimes(fc.subarray(['soc2', 'hipaa', 'iso27001']), []),
    minConnectivity: sometimes(fc.constantFrom('low' as const, 'medium' as const, 'ultra' as const), null),
    network: sometimes(fc.constantFrom('ethernet' as const, 'infiniband' as const), undefined),
    rayVersion: sometimes(fc.constantFrom('2.60.0', '2.51.2', '1.0.0'), null),
    maxMicroUsdPerHour: sometimes(
      fc.integer({ min: 1, max: 12 }).map(count => count * 500_000),
      null,
    ),
    colocate: fc.constantFrom('any' as const, 'any' as const, 'node' as const, 'domain' as const),
    spread: sometimes(
      fc.record({
        by: fc.constantFrom('supplier' as const, 'domain' as const, 'country' as const, 'node' as const),
        maxWorkersEach: fc.integer({ min: 1, max: 3 }),
      }),
      null,
    ),
    cells: sometimes(fc.record({ workersEach: fc.integer({ min: 1, max: 3 }) }), null),
    pack: fc.constantFrom('pack' as const, 'spread' as const),
    weights: fc.record({
      price: weight,
      speed: weight,
      place: weight,
      reputation: weight,
      stake: weight,
      load: weight,
      fit: sometimes(weight, undefined),
    }),
  });
