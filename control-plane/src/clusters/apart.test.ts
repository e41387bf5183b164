import type { ClusterId, Device, NodeId, TenantId } from '@iocloud/contracts';
import { nodeTerms } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { empty, type Want } from '../core/matching/index.js';
import { type Apart, makeRoomApart, placeApart, placeMore } from './apart.js';
import type { Offers } from './facts.js';

const tenantId = 'tn_1' as TenantId;
const gibibyte = 2 ** 30;

function machine(id: string, changes: Partial<Offers[number]> = {}): Offers[number] {
  return {
    nodeId: id as NodeId,
    name: id,
    ownerId: tenantId,
    shared: false,
    schedulable: true,
    terms: nodeTerms.parse({}),
    reputation: 0.5,
    cpus: 4,
    memoryBytes: 16 * gibibyte,
    devices: [],
    rayVersions: ['2.60.0'],
    priceBasis: { microUsdPerCpuHour: 0, microUsdPerGpuHour: 0, ownMicroUsdPerGpuHour: 0, market: null },
    isolation: 'namespace',
    isolationReason: '',
    mesh: { able: true, reason: 'wireguard-go' },
    network: null,
    used: empty,
    ...changes,
  };
}

const gpu = (index: number): Device => ({
  index,
  uuid: `gpu-${index}`,
  vendor: 'nvidia',
  model: 'NVIDIA H100 80GB HBM3',
  memoryBytes: 80 * gibibyte,
  simulated: false,
});
const want = (key: string, cpus: number, gpus = 0): Want => ({ key, cpus, gpus });
const need = (wants: Want[]): Apart => ({ wants, rayVersion: '2.60.0', tenantId, requirements: undefined });
const where = (found: ReturnType<typeof placeApart>) =>
  'refused' in found
    ? found.refused
    : Object.fromEntries(found.parts.flatMap(part => part.assignments.map(({ key }) => [key, part.nodeId])));

describe('a cluster that no machine carries alone', () => {
  test('goes on as many as it needs, none of it twice', () => {
    const found = placeApart(need([want('head/0', 3), want('w/0', 3), want('w/1', 3)]), [
      machine('a'),
      machine('b'),
      machine('c'),
    ]);
    const places = where(found) as Record<string, string>;
    expect(Object.keys(places).sort()).toEqual(['head/0', 'w/0', 'w/1']);
    expect(new Set(Object.values(places)).size).toBe(3);
  });

  test('is not placed at all where one of its Ray nodes finds no room', () => {
    const machines = [machine('a'), machine('b')];
    expect(where(placeApart(need([want('head/0', 3), want('w/0', 3), want('w/1', 3)]), machines))).toMatch(
      /^on several machines: /,
    );
  });

  test('stands only on machines that can join a network, and the refusal says why there are none', () => {
    const unable = { mesh: { able: false, reason: '/dev/net/tun cannot be opened' } };
    const wants = [want('head/0', 3), want('w/0', 3)];
    expect(where(placeApart(need(wants), [machine('a'), machine('b', unable)]))).toMatch(/^on several machines/);
    expect(where(placeApart(need(wants), [machine('a', unable), machine('b', unable)]))).toBe(
      'on several machines: none can join a network with others (2 × /dev/net/tun cannot be opened)',
    );
  });

  test('gets whole accelerators of each machine, as many as each Ray node asks for', () => {
    const devices = [gpu(0), gpu(1)];
    const found = placeApart(need([want('head/0', 1), want('w/0', 1, 2), want('w/1', 1, 2)]), [
      machine('a', { devices }),
      machine('b', { devices }),
    ]);
    if ('refused' in found) throw new Error(found.refused);
    const given = found.parts.flatMap(part => part.assignments.filter(({ deviceIndices }) => deviceIndices.length > 0));
    expect(given.map(({ key, deviceIndices }) => [key, deviceIndices]).sort()).toEqual([
      ['w/0', [0, 1]],
      ['w/1', [0, 1]],
    ]);
  });

  test('holds on no machine more than is free there, whatever is asked', () => {
    const cpus = fc.integer({ min: 1, max: 4 });
    const machines = fc.array(
      fc.record({ cpus: fc.integer({ min: 1, max: 8 }), taken: fc.integer({ min: 0, max: 8 }) }),
      {
        minLength: 1,
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(fc.array(cpus, { minLength: 2, maxLength: 8 }), machines, (sizes, fleet) => {
        const wants = sizes.map((size, i) => want(i === 0 ? 'head/0' : `w/${i}`, size));
        const offers = fleet.map((one, i) =>
          machine(`m${i}`, { cpus: one.cpus, used: { ...empty, cpus: Math.min(one.cpus, one.taken) } }),
        );
        const found = placeApart(need(wants), offers);
        if ('refused' in found) return;
        const placed = found.parts.flatMap(part => part.assignments.map(({ key }) => key));
        expect([...placed].sort()).toEqual(wants.map(({ key }) => key).sort());
        for (const part of found.parts) {
          const offer = offers.find(({ nodeId }) => nodeId === part.nodeId);
          const held = part.assignments.reduce(
            (sum, { key }) => sum + (wants.find(one => one.key === key)?.cpus ?? 0),
            0,
          );
          expect(held).toBeLessThanOrEqual((offer?.cpus ?? 0) - (offer?.used.cpus ?? 0));
        }
      }),
    );
  });
});

describe('room on several machines', () => {
  const taken = { ...empty, cpus: 3 };
  const spare = (clusterId: string, nodeId: string, idleSince: number) => ({
    clusterId: clusterId as ClusterId,
    nodeId: nodeId as NodeId,
    use: taken,
    idleSince,
  });
  const machines = ['a', 'b', 'c'].map(id => machine(id, { used: taken }));
  const wants = [want('head/0', 3), want('w/0', 3)];

  test('is made by the clusters that are idle for longest, as many as it takes', () => {
    const idle = [spare('new', 'a', 30), spare('old', 'b', 10), spare('older', 'c', 20)];
    expect(makeRoomApart(need(wants), machines, idle)).toEqual(['old', 'older']);
    expect(makeRoomApart(need(wants), machines, idle.slice(0, 1))).toBeNull();
  });

  test('costs none in vain: not what stands where nothing would go', () => {
    const small = machine('small', { cpus: 1, used: { ...empty, cpus: 1 } });
    const idle = [spare('vain', 'small', 1), spare('one', 'a', 10), spare('two', 'b', 20)];
    expect(makeRoomApart(need(wants), [...machines, small], idle)).toEqual(['one', 'two']);
  });
});

describe('what is missing of a cluster', () => {
  test('goes where the cluster is already while there is room, then elsewhere, and the rest is named', () => {
    const wants = [want('w/0', 3), want('w/1', 3), want('w/2', 3)];
    const { parts, refused } = placeMore(need(wants), [machine('a'), machine('b')], ({ nodeId }) => nodeId === 'b');
    expect(parts.map(({ nodeId, assignments }) => [nodeId, assignments[0]?.key])).toEqual([
      ['b', 'w/0'],
      ['a', 'w/1'],
    ]);
    expect(refused).toMatch(/^w\/2 finds no room on several machines/);
  });
});
