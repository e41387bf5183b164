/** From what happened in a challenge to its verdict, with a reason for each check. Pure. */
import type { VerificationCheck, VerificationPass } from '@iocloud/contracts';
import type { Expectation } from './expectation.js';

/** How the conversation ended before all passes were done. */
export interface Broken {
  /** `refused` and `fault`: the agent or its program said so. `silent`: nothing came in time. `cut`: the connection went. */
  how:
    | 'refused'
    | 'fault'
    | 'silent'
    | 'cut'
    | 'signature'
    | 'openings-missing'
    | 'not-committed'
    | 'wrong-numbers'
    | 'protocol';
  message: string;
}

export interface Transcript {
  /** Those that were committed to, from 0. */
  passes: VerificationPass[];
  broken: Broken | null;
}

export interface Judgement {
  passed: boolean;
  /** What failed may be the network's fault, or bad luck: the device gets another try before it counts. */
  again: boolean;
  checks: VerificationCheck[];
}

/** Numbers that are drawn for each layer: see `spotted` in rates.ts for what all passes together find. */
export const spotsPerPass = 12;

const mostNetworkMs = 250;
/** Of what a pass may take: who makes its round trips long gains no more. */
const mostNetworkShare = 0.1;

/** What is taken off each time for the way there and back: the shortest round trip of this conversation, within bounds. */
export const networkAllowance = (roundTripMs: number, slowestMs: number): number =>
  Math.min(roundTripMs, mostNetworkMs, mostNetworkShare * slowestMs);

/** A lie is a lie the first time; to be slow or silent may happen to the honest. */
const lies: readonly Broken['how'][] = ['signature', 'openings-missing', 'not-committed', 'wrong-numbers', 'protocol'];

export function judge({ passes, broken }: Transcript, { test, slowestMs, typicalMs, basis }: Expectation): Judgement {
  const timed = passes.filter(({ pass }) => pass > 0);
  const inTime = timed.filter(({ elapsedMs, networkMs }) => elapsedMs - networkMs <= slowestMs);
  const isDone = broken === null && timed.length === test.passes;
  const found = (how: Broken['how'][]) => (broken && how.includes(broken.how) ? broken.message : null);
  const check = (name: VerificationCheck['name'], fault: string | null, fine: string): VerificationCheck => ({
    name,
    passed: fault === null,
    found: fault ?? fine,
  });
  const ms = (value: number) => `${Math.round(value)} ms`;
  const allowed = `${ms(slowestMs)} (${basisInWords(basis)}${typicalMs === null ? '' : `, where ${ms(typicalMs)} are usual`})`;
  const times = timed.map(({ elapsedMs, networkMs }) => ms(elapsedMs - networkMs)).join(', ');
  const checks = [
    check('answered', found(['refused', 'fault', 'silent', 'cut']), `${passes.length} layers were committed to`),
    check('signed', found(['signature']), 'each by the key of the device'),
    check(
      'kept-to-commitment',
      found(['openings-missing', 'not-committed', 'protocol']),
      'all rows that were asked for',
    ),
    check('computed-right', found(['wrong-numbers']), 'all numbers that were drawn'),
  ];
  // Of one that broke off, times decide nothing: that it broke off does.
  if (isDone) {
    const late = `${inTime.length} of ${timed.length} passes took no longer than ${allowed}, ${test.needed} had to: ${times}`;
    checks.push({ name: 'in-time', passed: inTime.length >= test.needed, found: late });
  }
  const passed = isDone && checks.every(one => one.passed);
  return { passed, again: !passed && !(broken && lies.includes(broken.how)), checks };
}

function basisInWords(basis: Expectation['basis']): string {
  switch (basis) {
    case 'recorded':
      return 'measured on a device of this model';
    case 'data-sheet':
      return "from the maker's data sheet";
    case 'own-record':
      return "from this device's own earlier passes";
    case 'nothing':
      return 'the limit for any device: of this model no times are known';
  }
}
