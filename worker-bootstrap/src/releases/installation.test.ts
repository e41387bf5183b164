import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LeaseObservation, LeaseSpec } from '@iocloud/contracts';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '../log.js';
import { Installation } from './installation.js';
import { type InstallState, readState, writeState } from './state.js';

const release = (serial: number) => ({
  name: `r${serial}`,
  version: `1.0.${serial}`,
  serial,
  floor: 0,
  sha256: `sha-${serial}`,
});
const kept = 'ls_00000000000000000001' as LeaseSpec['leaseId'];
const gone = 'ls_00000000000000000002' as LeaseSpec['leaseId'];
const trial: InstallState = {
  key: null,
  highestSerial: 10,
  floor: 0,
  current: release(10),
  previous: release(5),
  trial: { release: release(20), attempt: 'a', healthySeconds: 60, starts: 1, leases: [kept, gone] },
  failed: null,
};
const wanted = (...ids: LeaseSpec['leaseId'][]) => ids.map(leaseId => ({ leaseId }) as LeaseSpec);
const seen = (leaseId: LeaseSpec['leaseId'], phase: LeaseObservation['phase']) => ({
  leaseId,
  phase,
  message: '',
  rayNodeId: null,
});

let home: string;
let installation: Installation;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'iocloud-releases-'));
  for (const name of ['r5', 'r10', 'r20', '.new-half']) mkdirSync(join(home, 'releases', name), { recursive: true });
  writeState(home, trial);
  installation = new Installation(home, createLogger('silent'), () => undefined);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

describe('a release on trial', () => {
  test('has not proven itself while a Ray node that was up is missing or has ended', async () => {
    for (const observed of [[seen(kept, 'ready')], [seen(kept, 'ready'), seen(gone, 'exited')]]) {
      expect(await installation.settle(wanted(kept, gone), observed)).toBeNull();
      expect(readState(home).trial).not.toBeNull();
    }
    expect(installation.report()).toMatchObject({ onTrial: true, running: { serial: 20 } });
  });

  test('has once those that are still wanted are there: what is kept is that and the one before', async () => {
    const report = await installation.settle(wanted(kept), [seen(kept, 'ready'), seen(gone, 'exited')]);
    expect(report).toMatchObject({ onTrial: false, running: { serial: 20 }, previous: { serial: 10 } });
    expect(readState(home)).toMatchObject({ highestSerial: 20, current: { serial: 20 }, trial: null });
    expect(readdirSync(join(home, 'releases')).sort()).toEqual(['r10', 'r20']);
    expect(await installation.settle(wanted(kept), [])).toBeNull();
  });
});

test('a state file that cannot be read stops the start, and says what to do', () => {
  rmSync(join(home, 'release.json'));
  expect(() => new Installation(home, createLogger('silent'), () => undefined)).toThrow(
    'run the line that made this machine join',
  );
});
