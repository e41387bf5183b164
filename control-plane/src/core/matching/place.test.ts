import type { Device, NodeId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assignDevices } from './devices.js';
import { makeRoom } from './make-room.js';
import { empty, type Offer, placeEach, placeTogether, type Want } from './place.js';

const GiB = 2 ** 30;
const ray = '2.60.0';
const models = ['A100', 'H100', 'MI300X'];

const devicesOf = (names: string[]): Device[] =>
  names.map((model, index) => ({
    index,
    vendor: model.startsWith('MI') ? 'amd' : 'nvidia',
    model,
    memoryBytes: 80 * GiB,
    uuid: `dev-${index}`,
    simulated: true,
  })) as unknown as Device[];

const machine = (more: Partial<Offer> = {}): Offer => ({
  nodeId: 'nd_a' as NodeId,
  name: 'a',
  cpus: 8,
  memoryBytes: 64 * GiB,
  devices: [],
  rayVersions: [ray],
  reputation: 0.8,
  used: empty,
  ...more,
});

const anyWant = fc.record({
  cpus: fc.integer({ min: 0, max: 12 }).map(quarters => quarters / 4),
  gpus: fc.integer({ min: 0, max: 3 }),
  memoryBytes: fc.option(
    fc.integer({ min: 1, max: 32 }).map(count => count * GiB),
    { nil: undefined },
  ),
  accelerator: fc.option(fc.constantFrom(...models), { nil: undefined }),
});
const anyWants = fc
  .array(anyWant, { minLength: 1, maxLength: 5 })
  .map(list => list.map((want, index): Want => ({ key: `g/${index}`, ...want })));
const anyMachine = (id: number) =>
  fc
    .record({
      cpus: fc.integer({ min: 1, max: 16 }),
      memory: fc.integer({ min: 2, max: 128 }),
      devices: fc.array(fc.constantFrom(...models), { maxLength: 8 }),
      usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
      usedDevices: fc.array(fc.nat(7), { maxLength: 4 }),
      rightVersion: fc.boolean(),
      reputation: fc.constantFrom(0.4, 0.8, 0.9),
    })
    .map(({ cpus, memory, devices, usedShare, usedDevices, rightVersion, reputation }) =>
      machine({
        nodeId: `nd_${id}` as NodeId,
        name: `m${id}`,
        cpus,
        memoryBytes: memory * GiB,
        devices: devicesOf(devices),
        reputation,
        rayVersions: rightVersion ? [ray] : ['2.51.2'],
        used: {
          cpus: Math.floor(cpus * usedShare),
          memoryBytes: Math.floor(memory * usedShare) * GiB,
          devices: [...new Set(usedDevices.filter(index => index < devices.length))],
        },
      }),
    );
const anyMachines = fc.tuple(anyMachine(0), anyMachine(1), anyMachine(2));

/** Fails unless the assignments are within what the machine has free, with no device twice and each of the right model. */
function expectSound(
  wants: Want[],
  offer: Offer,
  given: { key: string; memoryBytes: number; deviceIndices: number[] }[],
) {
  const wanted = new Map(wants.map(want => [want.key, want]));
  const indices = given.flatMap(one => one.deviceIndices);
  expect(new Set(indices).size).toBe(indices.length);
  let cpus = 0;
  let memory = 0;
  for (const { key, memoryBytes, deviceIndices } of given) {
    const want = wanted.get(key);
    expect(want).toBeDefined();
    expect(deviceIndices).toHaveLength(want?.gpus ?? -1);
    if (want?.memoryBytes !== undefined) expect(memoryBytes).toBe(want.memoryBytes);
    else expect(memoryBytes).toBeGreaterThanOrEqual(GiB);
    for (const index of deviceIndices) {
      expect(offer.used.devices).not.toContain(index);
      const device = offer.devices.find(one => one.index === index);
      expect(device?.model).toContain(want?.accelerator ?? '');
    }
    cpus += want?.cpus ?? 0;
    memory += memoryBytes;
  }
  expect(cpus).toBeLessThanOrEqual(offer.cpus - offer.used.cpus + 1e-6);
  expect(memory).toBeLessThanOrEqual(offer.memoryBytes - offer.used.memoryBytes);
}

describe('placement of a whole cluster', () => {
  test('never gives more than is free, a device twice, or a wrong model', () => {
    fc.assert(
      fc.property(anyWants, anyMachines, (wants, machines) => {
        const placement = placeTogether(wants, ray, machines);
        if ('refused' in placement) return;
        const offer = machines.find(one => one.nodeId === placement.nodeId) as Offer;
        expect(offer.rayVersions).toContain(ray);
        expect(placement.assignments.map(one => one.key)).toEqual(wants.map(want => want.key));
        expectSound(wants, offer, placement.assignments);
      }),
    );
  });

  test('is refused only with a reason for each machine', () => {
    fc.assert(
      fc.property(anyWants, anyMachines, (wants, machines) => {
        const placement = placeTogether(wants, ray, machines);
        if ('refused' in placement) for (const { name } of machines) expect(placement.refused).toContain(`${name}: `);
      }),
    );
  });

  test('does not depend on the order in which the machines are named', () => {
    fc.assert(
      fc.property(anyWants, anyMachines, (wants, machines) => {
        const there = placeTogether(wants, ray, machines);
        const back = placeTogether(wants, ray, [...machines].reverse());
        if ('refused' in there) expect(back).toHaveProperty('refused');
        else expect(back).toEqual(there);
      }),
    );
  });

  test('work without accelerators stays off machines that have them', () => {
    const plain = machine({ nodeId: 'nd_b' as NodeId, name: 'b', cpus: 64 });
    const rich = machine({ devices: devicesOf(['H100', 'H100']) });
    const placement = placeTogether([{ key: 'head/0', cpus: 1, gpus: 0 }], ray, [rich, plain]);
    expect(placement).toMatchObject({ nodeId: 'nd_b' });
  });

  test('the machine that is filled best is taken', () => {
    const big = machine({ nodeId: 'nd_b' as NodeId, name: 'b', cpus: 64 });
    expect(placeTogether([{ key: 'head/0', cpus: 4, gpus: 0 }], ray, [big, machine()])).toMatchObject({
      nodeId: 'nd_a',
    });
  });

  test('of machines that fit equally well the one with the better reputation goes first, whichever is named first', () => {
    const poor = machine({ reputation: 0.5, memoryBytes: 64 * GiB - 4096 });
    const good = machine({ nodeId: 'nd_b' as NodeId, name: 'b', reputation: 0.9 });
    const alike = machine({ nodeId: 'nd_c' as NodeId, name: 'c', reputation: 0.9 });
    const want: Want[] = [{ key: 'head/0', cpus: 4, gpus: 0 }];
    for (const machines of [
      [poor, good, alike],
      [alike, good, poor],
    ]) {
      expect(placeTogether(want, ray, machines)).toMatchObject({ nodeId: 'nd_b' });
    }
  });

  test('a reputation decides neither whether something fits nor against a machine that is filled better', () => {
    const left = ({ devices, cpus, memoryBytes, used }: Offer) => [
      devices.length - used.devices.length,
      cpus - used.cpus,
      Math.round((memoryBytes - used.memoryBytes) / GiB),
    ];
    fc.assert(
      fc.property(anyWants, anyMachines, (wants, machines) => {
        const told = placeTogether(wants, ray, machines);
        const untold = placeTogether(
          wants,
          ray,
          machines.map(offer => ({ ...offer, reputation: 0.8 })),
        );
        if ('refused' in told || 'refused' in untold) return expect(told).toEqual(untold);
        const at = (id: NodeId) => machines.find(({ nodeId }) => nodeId === id) as Offer;
        expect(left(at(told.nodeId))).toEqual(left(at(untold.nodeId)));
        expect(at(told.nodeId).reputation).toBeGreaterThanOrEqual(at(untold.nodeId).reputation);
      }),
    );
  });

  test('says what is missing in numbers', () => {
    expect(placeTogether([{ key: 'head/0', cpus: 9, gpus: 0 }], ray, [machine()])).toEqual({
      refused: 'a: 9 CPUs are wanted, 8 of 8 are free',
    });
    expect(placeTogether([{ key: 'h/0', cpus: 1, gpus: 2, accelerator: 'H100' }], ray, [machine()])).toEqual({
      refused: 'a: 2 H100 accelerators are wanted, 0 of 0 are free',
    });
    expect(placeTogether([{ key: 'h/0', cpus: 1, gpus: 0 }], '2.1.0', [machine()])).toEqual({
      refused: `a: offers Ray ${ray}, not 2.1.0`,
    });
    expect(placeTogether([{ key: 'h/0', cpus: 1, gpus: 0 }], ray, [])).toEqual({ refused: 'no machine is online' });
  });
});

test('placing one by one is as sound, and goes on after one that does not fit', () => {
  fc.assert(
    fc.property(anyWants, anyMachine(0), (wants, offer) => {
      const { assignments, refused } = placeEach(wants, ray, offer);
      expectSound(wants, offer, assignments);
      expect(refused === null).toBe(assignments.length === wants.length);
    }),
  );
});

describe('devices', () => {
  test('a want for any device leaves the rare model to who needs it', () => {
    const given = assignDevices([{ gpus: 1 }, { gpus: 1, accelerator: 'H100' }], devicesOf(['H100', 'A100']));
    expect(given).toEqual([[1], [0]]);
  });

  test('are given whenever it can be done at all', () => {
    const wants = fc.array(
      fc.record({ gpus: fc.integer({ min: 0, max: 2 }), accelerator: anyWant.map(want => want.accelerator) }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(wants, fc.array(fc.constantFrom(...models), { maxLength: 6 }), (list, names) => {
        expect(assignDevices(list, devicesOf(names)) !== null).toBe(possible(list, names));
      }),
    );
  });

  /** Hall's condition over the subsets of models: exact, and nothing like the code under test. */
  function possible(wants: { gpus: number; accelerator?: string | undefined }[], names: string[]): boolean {
    for (let subset = 0; subset < 2 ** models.length; subset += 1) {
      const inside = models.filter((_, bit) => subset & (1 << bit));
      const needed = wants.filter(want => want.accelerator !== undefined && inside.includes(want.accelerator));
      const have = names.filter(name => inside.includes(name)).length;
      if (needed.reduce((total, want) => total + want.gpus, 0) > have) return false;
    }
    return wants.reduce((total, want) => total + want.gpus, 0) <= names.length;
  }
});

describe('making room', () => {
  const occupant = (id: string, cpus: number, idleSince: number, nodeId = 'nd_a') => ({
    clusterId: `cl_${id}` as never,
    nodeId: nodeId as NodeId,
    use: { cpus, memoryBytes: cpus * GiB, devices: [] },
    idleSince,
  });
  const full = (candidates: ReturnType<typeof occupant>[]) =>
    machine({
      used: {
        cpus: candidates.reduce((total, { use }) => total + use.cpus, 0),
        memoryBytes: candidates.reduce((total, { use }) => total + use.memoryBytes, 0),
        devices: [],
      },
    });
  const want = (cpus: number): Want[] => [{ key: 'head/0', cpus, gpus: 0, memoryBytes: GiB }];

  test('releases nothing where there is room', () => {
    expect(makeRoom(want(2), ray, [full([occupant('x', 4, 0)])], [occupant('x', 4, 0)])).toMatchObject({
      clusterIds: [],
    });
  });

  test('releases the one idle for longest', () => {
    const candidates = [occupant('new', 4, 2_000), occupant('old', 4, 1_000)];
    expect(makeRoom(want(4), ray, [full(candidates)], candidates)).toMatchObject({ clusterIds: ['cl_old'] });
  });

  test('spares what would go in vain', () => {
    const candidates = [occupant('small', 1, 1_000), occupant('large', 7, 2_000)];
    expect(makeRoom(want(7), ray, [full(candidates)], candidates)).toMatchObject({ clusterIds: ['cl_large'] });
  });

  test('releases nothing at all where even that would not do', () => {
    const candidates = [occupant('x', 4, 0)];
    expect(makeRoom(want(9), ray, [full(candidates)], candidates)).toBeNull();
  });

  test('what it frees is enough, and each of it is needed', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 10 }), (list, cpus) => {
        const candidates = list.map((size, index) => occupant(String(index), size, index));
        const offer = machine({ ...full(candidates), cpus: 10 });
        const chosen = makeRoom(want(cpus), ray, [offer], candidates)?.clusterIds ?? null;
        const freeWith = (ids: readonly string[]) =>
          10 - candidates.filter(one => !ids.includes(one.clusterId)).reduce((total, { use }) => total + use.cpus, 0);
        if (chosen === null) {
          expect(cpus > 10).toBe(true);
          return;
        }
        expect(freeWith(chosen)).toBeGreaterThanOrEqual(cpus);
        for (const spared of chosen) expect(freeWith(chosen.filter(id => id !== spared))).toBeLessThan(cpus);
      }),
    );
  });
});
