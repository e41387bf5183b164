import { type ClusterPhase, clusterPhase } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { advance, type PhaseFacts, transitions } from './life.js';

const anyPhase = fc.constantFrom(...(Object.keys(transitions) as ClusterPhase[]));
const anyFacts: fc.Arbitrary<PhaseFacts> = fc
  .record({
    desired: fc.constantFrom<PhaseFacts['desired']>('running', 'stopped', 'deleted'),
    headLives: fc.boolean(),
    headReady: fc.boolean(),
    allReleased: fc.boolean(),
  })
  // A head that is ready lives, and one that lives holds a lease.
  .map(facts => ({ ...facts, headLives: facts.headLives || facts.headReady }))
  .map(facts => ({ ...facts, allReleased: facts.allReleased && !facts.headLives }));

test('the table has every phase of the contract and leads nowhere else', () => {
  expect(Object.keys(transitions).sort()).toEqual([...clusterPhase.options].sort());
  for (const events of Object.values(transitions)) {
    for (const { to } of Object.values(events)) expect(clusterPhase.options).toContain(to);
  }
});

test('whatever is so, it comes to rest, and a second look changes nothing', () => {
  fc.assert(
    fc.property(anyPhase, anyFacts, (phase, facts) => {
      const rest = advance(phase, facts);
      expect(advance(rest.phase, facts)).toEqual({ phase: rest.phase, taken: [] });
    }),
  );
});

test('what is deleted stays deleted, and nothing that is wanted gone is ever ready', () => {
  fc.assert(
    fc.property(anyPhase, anyFacts, (phase, facts) => {
      const { phase: end } = advance(phase, facts);
      if (phase === 'deleted') expect(end).toBe('deleted');
      if (facts.desired !== 'running') expect(['pending', 'provisioning', 'ready']).not.toContain(end);
      if (end === 'ready' && phase !== 'ready') expect(facts.headReady).toBe(true);
      if (end === 'deleted' && phase !== 'deleted') expect(facts.allReleased).toBe(true);
    }),
  );
});
