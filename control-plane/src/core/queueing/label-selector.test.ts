import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { labelsFor, labelsMatch, parseLabelCondition } from './label-selector.js';

describe('label selectors', () => {
  test.each([
    ['zone', 'north', { zone: 'north' }, true],
    ['zone', 'north', {}, false],
    ['zone', '!north', { zone: 'south' }, true],
    ['zone', '!north', {}, true],
    ['zone', 'in(north, south)', { zone: 'south' }, true],
    ['zone', '!in(north, south)', { zone: 'south' }, false],
    ['ray.io/accelerator-type', 'H100', {}, true],
  ])('%s: %s on %j is %s', (key, text, labels, expected) => {
    expect(labelsMatch(labels as Record<string, string>, { [key]: text })).toBe(expected);
  });

  test.each(['in(a', 'a)', 'a b', '!!a', 'in(a)(b)', `${'x'.repeat(64)}`])('%j is no selector', text => {
    expect(parseLabelCondition('zone', text)).toBeNull();
  });

  test('a node that carries the labels asked for satisfies the selector, as far as plain values go', () => {
    const value = fc.constantFrom('a', 'b', '!a', 'in(a, b)', '!in(b)', 'in(b)');
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('x', 'y', 'z'), value), selector => {
        const positive = Object.fromEntries(Object.entries(selector).filter(([, text]) => !text.startsWith('!')));
        expect(labelsMatch(labelsFor(selector), positive)).toBe(true);
      }),
    );
  });
});
