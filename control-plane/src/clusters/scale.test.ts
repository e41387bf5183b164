import { workerGroup } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { scaledGroup } from './scale.js';

const fixed = workerGroup.parse({ name: 'w', cpus: 1, count: 2 });
const elastic = workerGroup.parse({ name: 'w', cpus: 1, count: 2, minCount: 1, maxCount: 4, idleTimeoutSeconds: 30 });

describe('a group that is scaled', () => {
  test('gets its new size, and is left alone when it has it', () => {
    expect(scaledGroup(fixed, { group: 'w', count: 3 })).toEqual({ ...fixed, count: 3 });
    expect(scaledGroup(fixed, { group: 'w', count: 2 })).toBeNull();
    expect(scaledGroup(elastic, { group: 'w', count: 2, minCount: 1, maxCount: 4 })).toBeNull();
  });

  test('stays within its bounds', () => {
    expect(scaledGroup(elastic, { group: 'w', count: 4 })).toEqual({ ...elastic, count: 4 });
    expect(() => scaledGroup(elastic, { group: 'w', count: 5 })).toThrow('group w: count: must not be above maxCount');
    expect(() => scaledGroup(elastic, { group: 'w', count: 0 })).toThrow('group w: count: must not be below minCount');
  });

  test('gets new bounds, becomes autoscaled, or is so no more', () => {
    expect(scaledGroup(elastic, { group: 'w', count: 5, maxCount: 8 })).toEqual({ ...elastic, count: 5, maxCount: 8 });
    expect(scaledGroup(fixed, { group: 'w', count: 2, maxCount: 8 })).toEqual({ ...fixed, maxCount: 8 });
    expect(scaledGroup(elastic, { group: 'w', count: 2, maxCount: null })).toEqual(fixed);
    expect(() => scaledGroup(fixed, { group: 'w', count: 2, minCount: 1 })).toThrow('need a maxCount');
  });
});
