/** How long to wait before the next try to connect: doubling, with jitter so that many agents do not come at once. */

const firstMs = 250;
/** Well below the time after which the machine's Ray nodes end themselves (contracts/src/fencing.ts). */
const lastMs = 1_000;
/** After a refusal by the control plane, which only a person can lift. */
export const refusedDelayMs = 60_000;

/** `failures`: tries in a row that failed, from 1. `random`: in [0, 1). Milliseconds. */
export function backoffMs(failures: number, random: number): number {
  const ceiling = Math.min(lastMs, firstMs * 2 ** Math.min(failures - 1, 20));
  return Math.round(ceiling * (0.5 + random / 2));
}
