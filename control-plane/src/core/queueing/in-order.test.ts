import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { InOrder } from './in-order.js';

test('has at each place what sorting all of it would put there, in whatever order it is asked', () => {
  const numbers = fc.uniqueArray(fc.integer(), { minLength: 1 });
  const asked = fc.array(fc.nat({ max: 1_000 }));
  fc.assert(
    fc.property(numbers, asked, (items, places) => {
      const sorted = [...items].sort((one, other) => one - other);
      const inOrder = new InOrder([...items], (one, other) => one < other);
      for (const place of places.map(each => each % items.length)) {
        expect(inOrder.at(place)).toBe(sorted[place]);
        expect(inOrder.length).toBe(items.length);
      }
      expect(inOrder.first(items.length)).toEqual(sorted);
    }),
  );
});
