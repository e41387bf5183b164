import { expect, test } from '@jest/globals';
import { cpuTicks, MachineReader, trafficOf, usageBetween } from './machine.js';

test('usage is the busy share of the time between two looks', () => {
  const before = cpuTicks('cpu  100 0 50 800 50 0 0 0 30 0\ncpu0 1 2 3 4\n');
  const now = cpuTicks('cpu  160 0 60 820 60 0 0 0 60 0\ncpu0 1 2 3 4\n');
  expect(before).toEqual({ all: 1_000, busy: 150 });
  expect(usageBetween(before, now)).toBeCloseTo(0.7);
  expect(usageBetween(null, now)).toBeNull();
  expect(usageBetween(now, now)).toBeNull();
  expect(cpuTicks('')).toBeNull();
});

test('traffic is that of the named devices alone', () => {
  const text = [
    'Inter-|   Receive                                                |  Transmit',
    ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets',
    '    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0',
    '  eth0: 1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0',
    '  eth1:7 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0',
  ].join('\n');
  expect(trafficOf(text, new Set(['eth0', 'eth1']))).toEqual({ received: 1_007, sent: 503 });
});

test('this machine can be read', async () => {
  const read = await new MachineReader('/').read();
  expect(read.diskTotalBytes).toBeGreaterThan(read.diskFreeBytes);
  expect(read.agentMemoryBytes).toBeGreaterThan(0);
});
