/**
 * After how long a silence a machine's Ray nodes end themselves, and when the control plane may count them as ended.
 *
 * The control plane acknowledges each heartbeat once it is on record. A machine counts from the moment at which it sent
 * the last heartbeat that was acknowledged, the control plane from the moment at which it recorded the last one, which
 * is never earlier. So a machine whose clock runs at least (1 - clockDrift) as fast as the control plane's has ended its
 * Ray nodes before another attempt of their jobs can start, however long it was cut off, as long as
 *
 *     fence + stop ≤ lost × (1 - clockDrift)
 *
 * holds. While its agent changes its release a machine has a longer fence, and counts as lost as much later
 * (control-plane/src/agent-releases/grace.ts). fencing.test.ts checks the inequality for every configurable value. All times in milliseconds.
 */

/**
 * From the deadline until nothing of a Ray node runs: its supervisor looks ten times a second, and the kernel kills its PID
 * namespace, or the supervisor what carries its marker. 25 processes with 1.5 GB took 1.0 s on two processors at load 13.
 */
export const fenceStopMs = 2_000;
/**
 * How much slower a machine's clock may run than the control plane's. Quartz differs by 0.01 %, and a kernel that follows a
 * time server slews by 0.05 %.
 */
export const clockDrift = 0.02;
/**
 * Where nothing else is configured. A machine elsewhere than the control plane's has to find that again before its fence
 * of 10.7 s: 1 s since its last heartbeat, 8 s for a control plane that starts slowly, 1 s to the next try, and some to say
 * hello.
 */
export const defaultNodeLostSeconds = 13;
/** Less would let a single delayed heartbeat end healthy jobs. */
export const minNodeLostSeconds = 8;

/** What a machine is told: how long after its last acknowledged heartbeat its Ray nodes end themselves. */
export function fenceAfterMs(nodeLostSeconds: number): number {
  return Math.floor(nodeLostSeconds * 1_000 * (1 - clockDrift)) - fenceStopMs;
}
