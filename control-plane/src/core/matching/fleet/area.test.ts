import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { distanceKm, estimatedLatencyMs } from '../score.js';
import { PlaceParts } from './area.js';
import { Geography } from './geography.js';

const anyPoint = fc.record({
  latitudeDeg: fc.double({ min: -90, max: 90, noNaN: true }),
  longitudeDeg: fc.double({ min: -180, max: 180, noNaN: true }),
});

test('the best of some places is that of all between the first and the last in their order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(anyPoint), { minLength: 1, maxLength: 120 }),
      fc.infiniteStream(fc.constantFrom(-1, 0.2, 0.5, 1)),
      fc.nat(),
      fc.nat(),
      (points, stream, one, other) => {
        const geography = new Geography();
        for (const [number, at] of points.entries()) geography.place(`C${number}`, '', at);
        const parts = points.map(() => stream.next().value as number);
        const [first, last] = [one % points.length, other % points.length].sort((a, b) => a - b) as [number, number];
        const places = geography.inOrder.slice(first, last + 1);
        const best = new PlaceParts(geography, place => parts[place] as number).between(
          places[0] as number,
          places.at(-1) as number,
        );
        expect(best).toBe(Math.max(...places.map(place => parts[place] as number)));
      },
    ),
  );
});

test('no site is nearer than its place is said to be', () => {
  fc.assert(
    fc.property(fc.array(anyPoint, { minLength: 1, maxLength: 10 }), anyPoint, (points, from) => {
      const geography = new Geography();
      const place = geography.place('DE', 'r', points[0] ?? null);
      for (const point of points) geography.site(place, point);
      for (const { latitudeDeg, longitudeDeg } of points) {
        const km = distanceKm(from.latitudeDeg, from.longitudeDeg, latitudeDeg, longitudeDeg);
        expect(geography.leastLatencyMs(place, from)).toBeLessThanOrEqual(estimatedLatencyMs(km));
      }
    }),
    // Nearly opposite points, where a distance keeps half of its digits.
    {
      examples: [
        [
          [
            { latitudeDeg: 0, longitudeDeg: 0 },
            { latitudeDeg: 0, longitudeDeg: 1.4e-14 },
          ],
          { latitudeDeg: 0, longitudeDeg: 179.99996905144135 },
        ],
      ],
    },
  );
});
