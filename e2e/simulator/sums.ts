/** What very many seeds have come to together. */
import type { Run } from './simulate.js';

export type Counts = Record<string, number>;

export interface Sums {
  totals: Counts;
  /** Seeds in which there was any of it. */
  seedsWith: Counts;
}

const counted = [
  'admissions',
  'backfills',
  'borrowed',
  'preemptions',
  'reclaims',
  'budgetStops',
  'migrations',
  'badProbes',
  'fencedWordsDropped',
] as const;

export const noSums = (): Sums => ({ totals: {}, seedsWith: {} });

export function addRun({ totals, seedsWith }: Sums, { summary, checks, ground, isRebuilt }: Run): void {
  add(totals, { seeds: 1, checks, onFleet: ground === 'fleet' ? 1 : 0, withRebuiltQueue: isRebuilt ? 1 : 0 });
  const { submitted, refused, outcomes } = summary.jobs;
  add(totals, { jobs: submitted, refused });
  const happened: Counts = {};
  for (const name of counted) happened[name] = summary[name];
  for (const [kind, count] of Object.entries(summary.faultsByKind)) happened[`faults: ${kind}`] = count;
  for (const [outcome, count] of Object.entries(outcomes)) happened[`jobs: ${outcome}`] = count;
  add(totals, happened);
  for (const [name, count] of Object.entries(happened)) if (count > 0) add(seedsWith, { [name]: 1 });
}

export function addSums(sums: Sums, others: Sums): void {
  add(sums.totals, others.totals);
  add(sums.seedsWith, others.seedsWith);
}

function add(counts: Counts, more: Counts): void {
  for (const [name, count] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + count;
}
