import { expect, test } from '@jest/globals';
import { heartbeatIntervalMs, heartbeatTimeoutMs } from './agent-protocol.js';
import { clockDrift, fenceAfterMs, fenceStopMs, minNodeLostSeconds } from './fencing.js';

const configurable = Array.from({ length: 3_600 }, (_, i) => minNodeLostSeconds + i);

test('a machine that is cut off has ended its Ray nodes before they count as lost, on a slow clock too', () => {
  for (const seconds of configurable) {
    expect(fenceAfterMs(seconds) + fenceStopMs).toBeLessThanOrEqual(seconds * 1_000 * (1 - clockDrift));
  }
});

test('it takes more than one lost heartbeat to end a healthy Ray node', () => {
  for (const seconds of configurable) expect(fenceAfterMs(seconds)).toBeGreaterThan(2 * heartbeatIntervalMs);
});

test('a silent machine gets no new work before its old work counts as lost', () => {
  expect(heartbeatTimeoutMs).toBeLessThan(minNodeLostSeconds * 1_000);
  expect(heartbeatTimeoutMs).toBeGreaterThan(2 * heartbeatIntervalMs);
  expect(heartbeatTimeoutMs).toBeLessThanOrEqual(5_000);
});
