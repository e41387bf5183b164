import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addressesPerSlot, meshAddress, meshBlock, mostMeshSlots, slotOf } from './mesh.js';

const slots = fc.integer({ min: 1, max: mostMeshSlots });
const numbers = fc.integer({ min: 1, max: addressesPerSlot });

describe('an address in the network of a cluster', () => {
  test('says which machine has it, and no two are alike', () => {
    fc.assert(
      fc.property(slots, numbers, slots, numbers, (slot, n, otherSlot, m) => {
        const address = meshAddress(slot, n);
        expect(slotOf(address)).toBe(slot);
        expect(address === meshAddress(otherSlot, m)).toBe(slot === otherSlot && n === m);
      }),
    );
  });

  test('lies within 100.64.0.0/12 and in the block of its machine', () => {
    expect([meshAddress(1, 1), meshBlock(1)]).toEqual(['100.64.1.1', '100.64.1.0/24']);
    expect([meshAddress(mostMeshSlots, 254), meshBlock(mostMeshSlots)]).toEqual(['100.79.255.254', '100.79.255.0/24']);
  });

  test('is none outside of the range: loopback, a resolver of a cloud, a bad number', () => {
    for (const address of ['127.0.0.2', '100.100.2.136', '100.64.0.9', '100.80.0.1', '10.0.0.1']) {
      expect(slotOf(address)).toBeNull();
    }
    for (const [slot, n] of [
      [0, 1],
      [1, 0],
      [1, 255],
      [mostMeshSlots + 1, 1],
    ] as const) {
      expect(() => meshAddress(slot, n)).toThrow(RangeError);
    }
  });
});
