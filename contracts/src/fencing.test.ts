import { expect, test } from '@jest/globals';
import { heartbeatIntervalMs, heartbeatTimeoutMs } from './agent-protocol.js';
import { clockDrift, defaultNodeLostSeconds, fenceAfterMs, fenceStopMs, minNodeLostSeconds } from './fencing.js';

const configurable = Array.from({ length: 3_600 }, (_, i) => minNodeLostSeconds + i);

test('a machine that is cut off has ended its Ray nodes before they count as lost, on a slow clock too', () => {
  for (const seconds of configurable) {
    expect(fenceAfterMs(seconds) + fenceStopMs).toBeLessThanOrEqual(seconds * 1_000 * (1 - clockDrift));
  }
});

test('a control plane that takes 8 s to start again is found before the fence by those who know no better', () => {
  const [startMs, longestRetryMs, helloMs] = [8_000, 1_000, 700];
  expect(heartbeatIntervalMs + startMs + longestRetryMs + helloMs).toBeLessThan(fenceAfterMs(defaultNodeLostSeconds));
});

test('it takes more than a few lost heartbeats to end a healthy Ray node', () => {
  for (const seconds of configurable) expect(fenceAfterMs(seconds)).toBeGreaterThan(4 * heartbeatIntervalMs);
});

test('a silent machine gets no new work before its old work counts as lost', () => {
  expect(heartbeatTimeoutMs).toBeLessThan(minNodeLostSeconds * 1_000);
  expect(heartbeatTimeoutMs).toBeGreaterThan(2 * heartbeatIntervalMs);
  // It is noticed up to half a second later: control-plane/src/inventory/hearing.test.ts.
  expect(heartbeatTimeoutMs).toBeLessThanOrEqual(4_000);
});
