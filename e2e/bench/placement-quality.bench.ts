/**
 * What is paid, against first-fit, best-fit, and the least that could be paid, which an integer program finds (HiGHS).
 * Small fleets (10 to 24 nodes, of which a fifth is in use) and two groups of workers that compete for the same nodes, all
 * of which must be placed; the weights count price alone.
 */
import { createRequire } from 'node:module';
import { Fleet, type FleetNode, type PlacementRequest, type WorkerGroup } from '@iocloud/control-plane/core/matching';
import { GiB, pick, randomFrom, request } from './fleet-world.js';
import { percentile, report } from './measure.js';
import { fits, priceOf, type Rule, SimpleFit } from './simple-fit.js';
import { models, smallFleet } from './small-fleet.js';

const cases = 400;
// Its types describe an ES module, its package says CommonJS: imported, the two do not agree.
const load = createRequire(import.meta.url)('highs') as () => Promise<{
  solve(problem: string): { Status: string; ObjectiveValue: number };
}>;
const highs = await load();
const random = randomFrom(7);
const anyOf = <T>(list: readonly T[]): T => pick(random, list);
const nextFleet = () => {
  const nodes = 10 + Math.floor(random() * 15);
  return smallFleet({ nodes, inUse: (next, devices) => (next() < 0.2 ? Math.floor(next() * devices) : 0) }, random);
};

function twoGroups(): PlacementRequest {
  return request({
    groups: [
      {
        name: 'train',
        workers: 1 + Math.floor(random() * 4),
        cpus: anyOf([2, 4, 8]),
        memoryBytes: 32 * GiB,
        devices: anyOf([1, 2, 4]),
        accelerator: { models: random() < 0.5 ? ['a100-80-sxm', 'h100-sxm'] : ['a100-80-sxm'] },
      },
      {
        name: 'serve',
        workers: 1 + Math.floor(random() * 6),
        cpus: anyOf([1, 2, 4]),
        memoryBytes: 16 * GiB,
        devices: 1,
        accelerator: random() < 0.5 ? { models: [...models] } : { models: ['a100-80-sxm', 'l40s'] },
      },
    ],
    weights: { price: 1, speed: 0, place: 0, reputation: 0, stake: 0, load: 0, fit: 0 },
  });
}

/** The least price of all workers; null when there is no room. */
function optimum(nodes: FleetNode[], groups: WorkerGroup[]): number | null {
  const variables = groups.flatMap((group, g) =>
    nodes.flatMap((node, n) => (fits(node, group) ? [{ group, g, node, n, name: `x${g}_${n}` }] : [])),
  );
  const sum = (terms: string[]) => (terms.length === 0 ? '0 none' : terms.join(' + '));
  const rows = [
    ...groups.map((group, g) => `${sum(variables.filter(one => one.g === g).map(one => one.name))} = ${group.workers}`),
    ...nodes.flatMap((node, n) => {
      const here = variables.filter(one => one.n === n);
      if (here.length === 0) return [];
      return [
        `${sum(here.map(one => `${one.group.devices} ${one.name}`))} <= ${node.pools[0]?.count ?? 0}`,
        `${sum(here.map(one => `${one.group.cpus} ${one.name}`))} <= ${node.cpus}`,
      ];
    }),
  ];
  if (groups.some((_, g) => !variables.some(one => one.g === g))) return null;
  const problem = [
    'Minimize',
    ` obj: ${sum(variables.map(one => `${priceOf(one.node, one.group)} ${one.name}`))}`,
    'Subject To',
    ...rows.map((row, at) => ` c${at}: ${row}`),
    'General',
    ` ${variables.map(one => one.name).join(' ')}`,
    'End',
  ].join('\n');
  const solved = highs.solve(problem);
  if (solved.Status === 'Optimal') return Math.round(solved.ObjectiveValue);
  if (solved.Status === 'Infeasible') return null;
  throw new Error(`HiGHS: ${solved.Status}`);
}

/** The price of groups and workers in the request's order, each where the rule puts it; null when one finds no room. */
function simple(nodes: FleetNode[], groups: WorkerGroup[], rule: Rule): number | null {
  const fleet = new SimpleFit(nodes, rule);
  let total = 0;
  for (const group of groups) {
    for (let worker = 0; worker < group.workers; worker++) {
      const node = fleet.take(group);
      if (!node) return null;
      total += priceOf(node, group);
    }
  }
  return total;
}

const overOptimum = { fleet: [] as number[], firstFit: [] as number[], bestFit: [] as number[] };
const missed = { fleet: 0, firstFit: 0, bestFit: 0 };
let possible = 0;
let wrong = 0;
for (let number = 0; number < cases; number++) {
  const nodes = nextFleet();
  const asked = twoGroups();
  const least = optimum(nodes, asked.groups);
  const fleet = new Fleet();
  for (const one of nodes) fleet.upsert(one);
  const answer = fleet.place(asked);
  if (least === null) {
    if (!('refused' in answer)) wrong += 1;
    continue;
  }
  possible += 1;
  const paid = {
    fleet: 'refused' in answer ? null : answer.microUsdPerHour,
    firstFit: simple(nodes, asked.groups, 'firstFit'),
    bestFit: simple(nodes, asked.groups, 'bestFit'),
  };
  for (const side of ['fleet', 'firstFit', 'bestFit'] as const) {
    const total = paid[side];
    if (total === null) missed[side] += 1;
    else overOptimum[side].push(total / least - 1);
  }
}
const summary = (values: number[]) => ({
  meanPercent: (100 * values.reduce((total, value) => total + value, 0)) / values.length,
  p99Percent: 100 * percentile(values, 99),
  exactly: values.filter(value => value < 1e-9).length,
});
report('placement-quality', {
  peer: 'the exact optimum (HiGHS), first-fit and best-fit',
  cases,
  possible,
  placedThoughImpossible: wrong,
  overOptimum: {
    fleet: summary(overOptimum.fleet),
    firstFit: summary(overOptimum.firstFit),
    bestFit: summary(overOptimum.bestFit),
  },
  refusedThoughPossible: missed,
  ratio: 1 + summary(overOptimum.fleet).meanPercent / 100,
  aim: 'mean within 2 % of the optimum',
});
