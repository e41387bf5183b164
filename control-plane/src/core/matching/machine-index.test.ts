import { type Device, type NodeId, nodeTerms, type Requirements, type TenantId } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { MachineFacts } from './demand.js';
import { type Ask, MachineIndex } from './machine-index.js';
import { empty, type Offer, placeTogether, type Use } from './place.js';
import { suitable } from './suitable.js';

type Machine = Offer & MachineFacts;
const rayVersion = '2.60.0';
const tenants = ['tn_a', 'tn_b'] as TenantId[];
const models = ['NVIDIA H100 80GB HBM3', 'NVIDIA L4', 'home-made'];

const device = (index: number, model: string): Device => ({
  index,
  uuid: `GPU-${index}`,
  vendor: 'nvidia',
  model,
  memoryBytes: model === 'NVIDIA L4' ? 23 * 2 ** 30 : 80 * 2 ** 30,
  simulated: false,
});

const anyMachine = fc
  .record({
    number: fc.nat(40),
    ownerId: fc.constantFrom(...tenants),
    shared: fc.boolean(),
    schedulable: fc.constantFrom(true, true, true, false),
    country: fc.constantFrom('DE', 'US'),
    reputation: fc.constantFrom(0.5, 0.9),
    cpus: fc.constantFrom(2, 4, 8, 16),
    gibibytes: fc.constantFrom(4, 16, 64),
    model: fc.constantFrom(...models),
    devices: fc.constantFrom(0, 0, 1, 2, 4),
    rayVersion: fc.constantFrom(rayVersion, rayVersion, rayVersion, '2.9.0'),
    usedCpus: fc.constantFrom(0, 1, 4, 16),
    usedGibibytes: fc.constantFrom(0, 2, 12, 64),
    usedDevices: fc.constantFrom([], [0], [1, 2], [0, 1, 2, 3]),
  })
  .map((made): Machine => {
    const nodeId = `nd_${String(made.number).padStart(3, '0')}` as NodeId;
    const devices = Array.from({ length: made.devices }, (_, index) => device(index, made.model));
    const used: Use = {
      cpus: Math.min(made.cpus, made.usedCpus),
      memoryBytes: Math.min(made.gibibytes, made.usedGibibytes) * 2 ** 30,
      devices: made.usedDevices.filter(index => index < made.devices),
    };
    const { ownerId, shared, schedulable, reputation, cpus } = made;
    const facts = { nodeId, name: nodeId, ownerId, shared, schedulable, reputation, cpus, devices, used };
    const terms = nodeTerms.parse({ country: made.country });
    return { ...facts, terms, rayVersions: [made.rayVersion], memoryBytes: made.gibibytes * 2 ** 30 };
  });

const anyAsk = fc
  .record({
    tenantId: fc.constantFrom(...tenants),
    cpus: fc.constantFrom(0.5, 1, 4, 8),
    gpus: fc.constantFrom(0, 0, 1, 2),
    memoryBytes: fc.constantFrom(undefined, 2 ** 30, 8 * 2 ** 30),
    accelerator: fc.constantFrom(undefined, 'H100', 'L4', 'home-made'),
    workers: fc.constantFrom(0, 0, 2),
    requirements: fc.constantFrom<Requirements | undefined>(
      undefined,
      { countries: ['DE'] },
      { accelerators: ['H100'], preferences: { reputation: 10 } },
    ),
  })
  .map(({ tenantId, cpus, gpus, memoryBytes, accelerator, workers, requirements }): Ask => {
    const own = { cpus, gpus, memoryBytes, accelerator: gpus > 0 ? accelerator : undefined };
    const others = Array.from({ length: workers }, (_, at) => ({ key: `worker/${at}`, cpus: 1, gpus: 0 }));
    return { tenantId, rayVersion, requirements, wants: [{ key: 'head/0', ...own }, ...others] };
  });

/** As the product decides: on the machines that are given. */
function decide(machines: Machine[], { tenantId, wants, requirements }: Ask): NodeId | null {
  const open = machines.filter(one => one.schedulable && (one.shared || one.ownerId === tenantId));
  const found = suitable(open, requirements, { wants, rayVersion, tenantId });
  if ('refused' in found) return null;
  const placement = placeTogether(wants, rayVersion, found.offers);
  return 'refused' in placement ? null : placement.nodeId;
}

const among = (machines: Map<NodeId, Machine>, ids: Iterable<NodeId>) =>
  [...ids].flatMap(id => machines.get(id) ?? []).sort((one, other) => (one.nodeId < other.nodeId ? -1 : 1));

/** Machines that change, come and go: as they are at last, and the index that heard of it one by one. */
function play(steps: { machine: Machine; leaves: boolean }[]) {
  const machines = new Map<NodeId, Machine>();
  const index = new MachineIndex();
  for (const { machine, leaves } of steps) {
    if (leaves) {
      machines.delete(machine.nodeId);
      index.remove(machine.nodeId);
    } else {
      machines.set(machine.nodeId, machine);
      index.put(machine);
    }
  }
  return { machines, index };
}

const anySteps = fc.array(fc.record({ machine: anyMachine, leaves: fc.constantFrom(false, false, false, true) }), {
  minLength: 10,
  maxLength: 80,
  size: 'max',
});

test('who finds room on the machines named finds it among all, and the other way round', () => {
  let placed = 0;
  fc.assert(
    fc.property(anySteps, anyAsk, (steps, ask) => {
      const { machines, index } = play(steps);
      expect(index.size).toBe(machines.size);
      const whole = decide(among(machines, machines.keys()), ask);
      const part = decide(among(machines, index.choose([ask], 4)), ask);
      expect(part === null).toBe(whole === null);
      // What is required is judged alike; else any machine with room will do, and the closest fit is preferred.
      if (ask.requirements !== undefined) expect(part).toBe(whole);
      if (whole !== null) placed += 1;
    }),
    { numRuns: 500 },
  );
  expect(placed).toBeGreaterThan(100);
});

test('asks in turn are named a machine each, as if those before had taken theirs', () => {
  let several = 0;
  fc.assert(
    fc.property(anySteps, anyAsk, fc.integer({ min: 2, max: 6 }), (steps, { tenantId, requirements }, count) => {
      const { machines, index } = play(steps);
      // More than half of the biggest machine: no two fit on one.
      const ask = { tenantId, requirements, rayVersion, wants: [{ key: 'head/0', cpus: 9, gpus: 0 }] };
      const alone = [...machines.values()].filter(machine => decide([machine], ask) !== null);
      const named = index.choose(Array(count).fill(ask), 0);
      expect(named.size).toBe(Math.min(count, alone.length));
      expect(among(machines, named).every(machine => alone.includes(machine))).toBe(true);
      if (named.size > 1) several += 1;
      // Nothing of it stays taken.
      expect(index.choose(Array(count).fill(ask), 0)).toEqual(named);
    }),
    { numRuns: 200 },
  );
  expect(several).toBeGreaterThan(20);
});

test('for what finds no room, names machines that would carry it if nothing ran there', () => {
  let emptied = 0;
  fc.assert(
    fc.property(anySteps, anyAsk, (steps, ask) => {
      const { machines, index } = play(steps);
      const single = { ...ask, wants: ask.wants.slice(0, 1) };
      const asEmpty = (ids: Iterable<NodeId>) => among(machines, ids).map(machine => ({ ...machine, used: empty }));
      if (decide(among(machines, machines.keys()), single) !== null) return;
      const could = decide(asEmpty(machines.keys()), single) !== null;
      expect(decide(asEmpty(index.choose([single], 4)), single) !== null).toBe(could);
      if (could) emptied += 1;
    }),
    { numRuns: 300 },
  );
  expect(emptied).toBeGreaterThan(20);
});
