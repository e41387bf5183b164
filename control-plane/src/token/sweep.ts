/** What the token rules do by themselves; each step is a transaction, and all of it may be killed anywhere. */
import { Recurring } from '../platform/index.js';
import { emitNextHour } from './emission.js';
import { advanceProposal } from './proposals.js';
import { burnNext, slashFailedProof } from './slashes.js';
import { releaseCooled } from './stakes.js';
import type { TokenWiring } from './wiring.js';

const lookIntervalMs = 5_000;

/** In this order: parameters first, as what follows counts by them. Each is done again until it says that nothing is left. */
const steps: readonly ((wiring: TokenWiring) => Promise<boolean>)[] = [
  advanceProposal,
  emitNextHour,
  slashFailedProof,
  burnNext,
  releaseCooled,
];

/** One that fails keeps none of the others from their turn. Throws the first fault, when all have had theirs. */
export async function sweepOnce(wiring: TokenWiring, isStopped: () => boolean): Promise<void> {
  const faults: unknown[] = [];
  for (const step of steps) {
    try {
      while (!isStopped() && (await step(wiring)));
    } catch (error) {
      faults.push(error);
    }
  }
  if (faults.length > 0) throw faults[0];
}

export const tokenSweep = (wiring: TokenWiring): Recurring =>
  new Recurring(
    'token',
    lookIntervalMs,
    isStopped => sweepOnce(wiring, isStopped),
    error => wiring.log.warn({ err: error }, 'the token rules could not be carried out; again soon'),
  );
