/**
 * Times of passes that were measured on real devices, with the program of worker-bootstrap/python/prove.py and the work that
 * `workOfProcessors` gives them (e2e/bench/verification/record.ts). Of accelerators there are none yet: no program has
 * been run on one, see README.md, "Limits".
 */
import type { ProofWork } from '@iocloud/contracts';
import { recording as amdEpyc } from './recorded/amd-epyc.js';

export interface Recorded {
  /** As the operating system names the processor. */
  model: string;
  cpus: number;
  work: ProofWork;
  machine: string;
  date: string;
  /** Milliseconds of each pass with nothing else to do. */
  quietMs: number[];
  /** With a neighbour that takes half of one processor. */
  neighbourMs: number[];
  /** Two that prove themselves at the same time on the same processors. */
  sharedMs: number[];
  /** A pass may take so many times the quiet median. */
  slowest: number;
}

export const recorded: readonly Recorded[] = [amdEpyc];
