/** One seed from its beginning to its end. */
import { Breach } from './checks.js';
import { FleetGround, ForgetfulFleet, PartialFleet } from './fleet-ground.js';
import { fleetScenario } from './fleet-scenario.js';
import type { Priced } from './grounds.js';
import { poolScenario } from './pool-scenario.js';
import { ForgetfulPools, PartialPools, PoolsGround } from './pools-ground.js';
import type { Bug } from './records.js';
import type { Summary } from './report.js';
import { evenMix, type Size } from './scenario.js';
import { swarmOf } from './swarm.js';
import { seedTerms, World } from './world.js';

export interface Outcome {
  summary: Summary;
  checks: number;
  breach: Breach | null;
}

export interface Run extends Outcome {
  ground: GroundKind;
  isRebuilt: boolean;
}

/** `pools`: a few kinds of alike machines; `fleet`: the real matching core, with requirements. */
export const groundKinds = ['pools', 'fleet'] as const;
export type GroundKind = (typeof groundKinds)[number];

/** Both in turn. */
export const groundOf = (seed: number): GroundKind => (seed % 2 === 0 ? 'fleet' : 'pools');

/** Half of the seeds on each ground. */
export const rebuildsOf = (seed: number): boolean => seed % 4 >= 2;

interface Options {
  bugs?: ReadonlySet<Bug>;
  ground?: GroundKind;
  /** The queue is built anew for each decision. */
  rebuilds?: boolean;
}

/** Without a size, a world as the swarm has it: its size and what is in it follow from the seed. */
export function simulate(
  seed: number,
  given: Size | null,
  { bugs = new Set(), ground = groundOf(seed), rebuilds = rebuildsOf(seed) }: Options = {},
): Run {
  /** The one with the bug that is planted, if it is one of the ground. */
  const groundFor = <Ground>(sound: Ground, forgetful: Ground, partial: Ground): Ground =>
    bugs.has('shared-devices') ? forgetful : bugs.has('partial-gangs') ? partial : sound;
  const even = given && { size: given, mix: evenMix(given.gpus), queue: seedTerms.queue };
  const { size, mix, queue } = even ?? swarmOf(seed);
  const terms = { ...seedTerms, queue, bugs, rebuilds };
  if (ground === 'pools') {
    const scenario = poolScenario(seed, size, mix);
    const pools = new (groundFor(PoolsGround, ForgetfulPools, PartialPools))(scenario.pools);
    return { ground, isRebuilt: rebuilds, ...run(new World(scenario, pools, terms)) };
  }
  const scenario = fleetScenario(seed, size, mix);
  const fleet = new (groundFor(FleetGround, ForgetfulFleet, PartialFleet))(scenario.nodes);
  return { ground, isRebuilt: rebuilds, ...run(new World(scenario, fleet, terms)) };
}

export function run<Request, Placement extends Priced>(world: World<Request, Placement>): Outcome {
  let breach: Breach | null = null;
  try {
    world.run();
  } catch (error) {
    breach = error instanceof Breach ? error : world.checks.failed(error);
  }
  return { summary: world.tally.summary(), checks: world.checks.made, breach };
}
