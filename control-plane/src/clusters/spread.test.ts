import type { NodeId, TenantId } from '@iocloud/contracts';
import { nodeTerms } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { siteOf, spreadChoices } from './spread.js';

const machine = (id: string, terms: object = {}) => ({
  nodeId: id as NodeId,
  ownerId: 'tn_one' as TenantId,
  terms: nodeTerms.parse(terms),
});
const machines = [
  machine('a', { domain: 'rack-1', country: 'DE' }),
  machine('b', { domain: 'rack-1', country: 'DE' }),
  machine('c', { domain: 'rack-2', country: 'DE' }),
  machine('d'),
];
const ids = (choices: { nodeId: NodeId }[][]) => choices.map(choice => choice.map(({ nodeId }) => nodeId));

test('a machine that states no place stands for itself', () => {
  expect(machines.map(each => siteOf(each, 'domain'))).toEqual(['rack-1', 'rack-1', 'rack-2', 'd']);
  expect(machines.map(each => siteOf(each, 'machine'))).toEqual(['a', 'b', 'c', 'd']);
  expect(new Set(machines.map(each => siteOf(each, 'supplier'))).size).toBe(1);
});

test('where the fewest other cells lie is tried first, and required means where none does', () => {
  const siblings = machines.slice(0, 1);
  expect(ids(spreadChoices(machines, siblings, { by: 'domain', mode: 'preferred' }))).toEqual([
    ['c', 'd'],
    ['a', 'b', 'c', 'd'],
  ]);
  expect(ids(spreadChoices(machines, siblings, { by: 'domain', mode: 'required' }))).toEqual([['c', 'd']]);
  expect(ids(spreadChoices(machines, machines, { by: 'country', mode: 'required' }))).toEqual([[]]);
});

test('no machine is left out for good by a preference, and each choice has those before it', () => {
  fc.assert(
    fc.property(
      fc.subarray(machines),
      fc.array(fc.constantFrom(...machines)),
      fc.constantFrom('machine' as const, 'domain' as const, 'country' as const),
      (offers, siblings, by) => {
        const choices = spreadChoices(offers, siblings, { by, mode: 'preferred' });
        expect(choices.at(-1) ?? []).toEqual(offers);
        for (const [place, choice] of choices.entries()) {
          for (const each of choices[place - 1] ?? []) expect(choice).toContain(each);
        }
      },
    ),
  );
});
