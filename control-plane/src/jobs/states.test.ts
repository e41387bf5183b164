import { attemptPhase, type JobPhase, jobPhase } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { attemptTransitions, isTerminal, jobTransitions, nextJobPhase } from './states.js';

test('the tables have every phase of the contract and lead nowhere else', () => {
  expect(Object.keys(jobTransitions).sort()).toEqual([...jobPhase.options].sort());
  expect(Object.keys(attemptTransitions).sort()).toEqual([...attemptPhase.options].sort());
  for (const events of Object.values(jobTransitions)) {
    for (const to of Object.values(events)) expect(jobPhase.options).toContain(to);
  }
});

test('exactly the terminal phases have no way out', () => {
  for (const phase of jobPhase.options)
    expect([phase, Object.keys(jobTransitions[phase]).length === 0]).toEqual([phase, isTerminal(phase)]);
});

test('from every phase some end can be reached', () => {
  for (const start of jobPhase.options) {
    const reached = new Set<JobPhase>([start]);
    for (const phase of reached) for (const to of Object.values(jobTransitions[phase])) reached.add(to);
    expect([...reached].some(isTerminal)).toBe(true);
  }
});

test('a job that is asked to stop never runs again', () => {
  for (const event of Object.keys(jobTransitions.stopping) as (keyof typeof jobTransitions.stopping)[]) {
    expect(['queued', 'assigned', 'running']).not.toContain(nextJobPhase('stopping', event));
  }
});
