/**
 * By what pools lie beside each other in the index: first by what is free of them, then by what makes their score, so that
 * pools of one zone are alike and its bounds are close. Only speed depends on it, never an answer.
 */
import { cpuPriceAt, gpuPriceAt, loadAt, reputationAt, stakeAt } from './figures.js';
import { basePricePart, type Inventory } from './inventory.js';
import { noModel } from './pools.js';

/** Of each of the four kinds. */
const bitsEach = 5;
const steps = 2 ** bitsEach;
const kindsRange = 2 ** (4 * bitsEach);
/** Numbers of wholly free devices, and of all devices of a pool; 15 and more as one. */
const freeSteps = 16;
const sizeSteps = 16;
/** What one place's keys take. */
const placeRange = freeSteps * sizeSteps * kindsRange;

/** Pools of one class fit a worker about equally well: as many devices are free, of as many. */
const classOf = (whole: number, count: number): number =>
  Math.min(whole, freeSteps - 1) * sizeSteps + Math.min(count, sizeSteps - 1);

const spreadOut = Uint32Array.from({ length: steps }, (_, value) => {
  let spread = 0;
  for (let bit = 0; bit < bitsEach; bit++) spread |= ((value >> bit) & 1) << (4 * bit);
  return spread;
});
const step = (part: number): number => spreadOut[Math.min(steps - 1, Math.floor(part * steps))] as number;

export function keyOf(inventory: Inventory, pool: number): number {
  const { figures, pools } = inventory;
  const slot = pools.node(pool);
  const hasDevices = pools.model(pool) !== noModel;
  const free = hasDevices ? classOf(pools.whole(pool), pools.devices(pool)) : inventory.hasFreeDevices(slot) ? 0 : 1;
  const kinds =
    (step(basePricePart(hasDevices, figures.get(slot, gpuPriceAt), figures.get(slot, cpuPriceAt))) << 3) |
    (step(figures.get(slot, reputationAt)) << 2) |
    (step(figures.get(slot, stakeAt)) << 1) |
    step(1 - figures.get(slot, loadAt));
  return free * kindsRange + kinds;
}

/** The same within places, which are in an order that keeps neighbours together. */
export const placeKeyOf = (inventory: Inventory, pool: number, key: number): number =>
  inventory.geography.area(inventory.place[inventory.pools.node(pool)] as number) * placeRange + key;
