import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LeaseId } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { Metering } from './index.js';
import { LeaseMeter, type Reading } from './lease-meter.js';
import { readUse, usesOfTrees } from './process-table.js';
import { sentBytes } from './traffic.js';

const [a, b] = ['ls_00000000000000000001', 'ls_00000000000000000002'] as [LeaseId, LeaseId];
const reading = (leaseId: LeaseId, changes: Partial<Reading> = {}): Reading => ({
  leaseId,
  adopted: false,
  cpuMs: 0,
  residentBytes: 0,
  network: null,
  ...changes,
});

describe('counters of leases', () => {
  const told = (meter: LeaseMeter, readings: Reading[], nowMs = 0) => {
    meter.take(readings, nowMs);
    return meter.usage();
  };

  test('time on processors never goes back, and what was used before this agent is not counted', () => {
    const meter = new LeaseMeter();
    const cpu = (cpuMs: number) =>
      told(meter, [reading(a, { cpuMs }), reading(b, { cpuMs, adopted: true })]).map(one => one.cpuMs);
    expect(cpu(500)).toEqual([500, 0]);
    expect(cpu(900)).toEqual([900, 400]);
    expect(cpu(700)).toEqual([900, 400]);
  });

  test('memory counts for the time since it was read before', () => {
    const meter = new LeaseMeter();
    const take = (mib: number, nowMs: number) =>
      told(meter, [reading(a, { residentBytes: mib * 2 ** 20 })], nowMs)[0]?.mibSeconds;
    expect([take(10, 5_000), take(10, 7_500), take(1, 8_000), take(0, 9_000)]).toEqual([0, 25, 25, 25]);
  });

  test('what leaves a network that two leases share is counted once, also when the first of them ends', () => {
    const meter = new LeaseMeter();
    const network = (bytes: number) => ({ network: { name: 'net:[1]', sentBytes: bytes } });
    const sent = (leases: LeaseId[], bytes: number) =>
      new Map(
        told(
          meter,
          leases.map(leaseId => reading(leaseId, network(bytes))),
        ).map(one => [one.leaseId, one.egressBytes]),
      );
    expect(sent([b, a], 100)).toEqual(
      new Map([
        [b, 0],
        [a, 100],
      ]),
    );
    expect(sent([b], 130)).toEqual(
      new Map([
        [a, 100],
        [b, 30],
      ]),
    );
  });

  test('one that has ended is told once more as it stood', () => {
    const meter = new LeaseMeter();
    meter.take([reading(a, { cpuMs: 10 })], 0);
    meter.take([], 1);
    meter.take([], 2);
    expect(meter.usage().map(({ cpuMs }) => cpuMs)).toEqual([10]);
    expect(meter.usage()).toEqual([]);
  });
});

test('a line of the kernel is read whatever the command is called, and a tree has all that descends from it', () => {
  const units = { ticksPerSecond: 100, pageBytes: 4_096 };
  const line = (parent: number) =>
    `7 (a) b (c) S ${parent} 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 12345 1000000 50 18446744073709551615`;
  expect(readUse(line(1), units)).toEqual({ parent: 1, cpuMs: 1_100, residentBytes: 204_800 });
  const use = (parent: number) => ({ parent, cpuMs: 1, residentBytes: 10 });
  const table = new Map([
    [5, use(1)],
    [6, use(5)],
    [7, use(6)],
    [8, use(1)],
    [9, use(10)],
    [10, use(9)],
  ]);
  expect([...usesOfTrees(table, new Set([5, 8]))]).toEqual([
    [5, { cpuMs: 3, residentBytes: 30 }],
    [8, { cpuMs: 1, residentBytes: 10 }],
  ]);
});

test('traffic is that of all devices but the loopback', () => {
  const header = 'Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n';
  const lines = '    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 1 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n';
  expect(sentBytes(header + lines)).toBe(500);
});

test('a process that works is counted with its children', async () => {
  const work =
    'let n=0; const end=Date.now()+400; while(Date.now()<end) n++; console.log("done"); setInterval(()=>0,1000)';
  const child = spawn('sh', ['-c', `"$0" -e '${work}' & wait`, process.execPath], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  try {
    await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
    const lease = { leaseId: a, pid: child.pid ?? 0, adopted: false };
    const metering = new Metering(
      () => [lease],
      error => {
        throw error;
      },
    );
    const [first] = await metering.usage();
    expect(first?.cpuMs).toBeGreaterThan(50);
    expect(first?.mibSeconds).toBe(0);
  } finally {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  }
});
