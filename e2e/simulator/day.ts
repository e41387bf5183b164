/** One simulated day of a whole fleet, with its figures and what it took to compute them. */
import { type DaySize, dayFaults, dayScenario, dayTerms } from './day-scenario.js';
import { FleetGround } from './fleet-ground.js';
import { type Outcome, run } from './simulate.js';
import { World } from './world.js';

export const worldSize: DaySize = { hours: 24, nodes: 125_000, tenants: 1_000, load: 0.92 };

/** Work is looked at this often: a wait is on average half as long at least. */
const roundMs = 60_000;
const tellEveryMs = 10_000;

/** With `maxWallSeconds` it stops then, and the figures are of the hours until there. */
export function simulateDay(
  seed: number,
  size: DaySize,
  tell: (line: string) => void,
  maxWallSeconds = Number.POSITIVE_INFINITY,
): Outcome & Record<string, unknown> {
  const startedMs = performance.now();
  const scenario = dayScenario(seed, size);
  const world = new World(scenario, new FleetGround(scenario.nodes), {
    queue: dayTerms,
    roundMs,
    explainEvery: 1_000,
    endsEarly: true,
    bugs: new Set(),
    rebuilds: false,
  });
  const setUpSeconds = (performance.now() - startedMs) / 1_000;
  let toldMs = startedMs;
  world.onRound = () => {
    if (performance.now() - startedMs > maxWallSeconds * 1_000) world.stop();
    if (performance.now() - toldMs < tellEveryMs) return;
    toldMs = performance.now();
    const { nowMs, waiting, queue } = world;
    const seconds = Math.round((toldMs - startedMs) / 1_000);
    tell(
      `${(nowMs / 3_600_000).toFixed(2)} h after ${seconds} s; ${waiting.size} wait, ${queue.size - waiting.size} run`,
    );
  };
  const ran = run(world);
  const { rss, heapUsed } = process.memoryUsage();
  return {
    ...ran,
    load: size.load,
    roundSeconds: roundMs / 1_000,
    faultRates: dayFaults,
    waitingAtTheEnd: world.waiting.size,
    runningAtTheEnd: world.queue.size - world.waiting.size,
    setUpSeconds,
    wallSeconds: (performance.now() - startedMs) / 1_000,
    cpuSeconds: process.cpuUsage().user / 1e6,
    residentMiB: Math.round(rss / 2 ** 20),
    heapMiB: Math.round(heapUsed / 2 ** 20),
  };
}
