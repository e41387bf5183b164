import { heartbeatIntervalMs, heartbeatTimeoutMs, type NodeId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { Hearing, silenceLookMs } from './hearing.js';

const node = 'nd_0123456789abcdefghjk' as NodeId;

/** Looks as the inventory does until `untilMs`, but for the pause. Returns when the machine counted as silent, or null. */
function silentAt(options: { lastBeatMs: number; untilMs: number; pause?: [number, number] }): number | null {
  let now = 0;
  const hearing = new Hearing(() => now);
  for (now = 0; now <= options.untilMs; now += 100) {
    const [from, to] = options.pause ?? [-1, -1];
    if (now >= from && now < to) continue;
    if (now % heartbeatIntervalMs === 0 && now <= options.lastBeatMs) hearing.heard(node);
    if (now % silenceLookMs !== 0) continue;
    hearing.look();
    if (hearing.hasListenedFor(heartbeatTimeoutMs) && !hearing.hasHeardWithin(node, heartbeatTimeoutMs)) return now;
  }
  return null;
}

describe('a machine that falls silent', () => {
  test('is noticed within 5 s of its fault, with some to spare', () => {
    const lastBeatMs = 20_000;
    const noticed = silentAt({ lastBeatMs, untilMs: 60_000 });
    expect(noticed).not.toBeNull();
    // The fault came after that heartbeat, at once or just before the next.
    expect((noticed ?? Number.POSITIVE_INFINITY) - lastBeatMs).toBeLessThanOrEqual(4_000);
  });

  test('is not made up by a process that stood still, nor by one that has just begun to listen', () => {
    expect(silentAt({ lastBeatMs: 60_000, untilMs: 60_000, pause: [20_100, 40_000] })).toBeNull();
    expect(silentAt({ lastBeatMs: -1, untilMs: heartbeatTimeoutMs - 100 })).toBeNull();
  });

  test('is noticed all the same after such a pause', () => {
    const noticed = silentAt({ lastBeatMs: 20_000, untilMs: 60_000, pause: [20_100, 40_000] });
    expect(noticed).toBe(40_000 + heartbeatTimeoutMs);
  });
});

test('a machine that was removed is forgotten', () => {
  const hearing = new Hearing(() => 0);
  hearing.heard(node);
  expect(hearing.hasHeardWithin(node, 1)).toBe(true);
  hearing.forget(node);
  expect(hearing.hasHeardWithin(node, 1)).toBe(false);
});
