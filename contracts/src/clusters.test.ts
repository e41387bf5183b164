import { expect, test } from '@jest/globals';
import { workerGroup } from './clusters.js';

const faults = (bounds: Record<string, number>): string[] =>
  workerGroup
    .safeParse({ name: 'w', cpus: 1, ...bounds })
    .error?.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`) ?? [];

test('a group’s bounds hold its count between them', () => {
  expect(faults({ count: 2 })).toEqual([]);
  expect(faults({ count: 2, maxCount: 2 })).toEqual([]);
  expect(faults({ count: 2, minCount: 2, maxCount: 5, idleTimeoutSeconds: 10 })).toEqual([]);
  expect(faults({ count: 1, minCount: 2, maxCount: 5 })).toEqual(['count: must not be below minCount']);
  expect(faults({ count: 6, maxCount: 5 })).toEqual(['count: must not be above maxCount']);
  expect(faults({ count: 1, minCount: 1 })).toEqual([
    'maxCount: minCount and idleTimeoutSeconds need a maxCount: without one the group is not autoscaled',
  ]);
});
