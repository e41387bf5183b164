/** The agent program's ways with its configuration, its devices, its connection and its signals. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Inventory } from '@iocloud/contracts';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { isAlive, type ProcessIdentity } from './leases/processes.js';
import { traces } from './testing/machine.js';
import { leaseSpecs, until, World } from './testing/world.js';

const timeoutMs = 120_000;
/** Promised: an idle agent takes less. Bytes. */
const idleMemoryBytes = 60 * 2 ** 20;

let world: World;
beforeEach(async () => {
  world = new World();
  await world.controlPlane.listen();
});
afterEach(async () => {
  await world.destroy();
}, 60_000);

async function inventory(): Promise<Inventory> {
  const hello = await until('a hello', () => world.controlPlane.heard.find(message => message.type === 'hello'));
  if (hello.type !== 'hello') throw new Error('not a hello');
  return hello.inventory;
}

/** A program of that name on the agent's path, printing `output`. */
function fakeTool(name: string, output: string, exitCode = 0): NodeJS.ProcessEnv {
  const directory = join(world.directory, 'bin');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), `#!/bin/sh\ncat <<'END'\n${output}\nEND\nexit ${exitCode}\n`);
  chmodSync(join(directory, name), 0o755);
  return { PATH: `${directory}:${process.env.PATH}` };
}

describe('the agent program', () => {
  test.each([
    ['an unknown key', { colour: 'red' }, 'unknown key colour'],
    ['no Ray at all', { rayEnvironments: {} }, 'rayEnvironments is empty'],
    ['a missing device key', { deviceKeyFile: '/nowhere/key' }, '/nowhere/key'],
  ])(
    'does not start with %s, and says in one line what is wrong',
    async (_what, changes, named) => {
      world.startAgent(changes as never);
      await until('the agent to end', () => world.agent?.exitCode !== null);
      expect(world.agent?.exitCode).toBe(2);
      expect(world.output).toContain(named);
      expect(world.output.trim().split('\n')).toHaveLength(1);
    },
    timeoutMs,
  );

  test(
    'tells what the machine has, with devices that exist and devices that are simulated',
    async () => {
      const environment = fakeTool('nvidia-smi', '0, GPU-0000, NVIDIA H100 80GB HBM3, 81559');
      const simulated = { vendor: 'amd', model: 'AMD Instinct MI300X', memoryBytes: 2 ** 37, count: 2 } as const;
      world.startAgent({ simulatedDevices: [simulated], cpus: 3.5, memoryBytes: 2 ** 33 }, environment);
      const told = await inventory();
      expect(told).toMatchObject({ cpus: 3.5, memoryBytes: 2 ** 33, rayVersions: ['2.60.0'] });
      expect(told.pythonVersion).toMatch(/^3\.\d+\.\d+$/);
      expect(told.devices.map(({ index, model, simulated: made }) => [index, model, made])).toEqual([
        [0, 'NVIDIA H100 80GB HBM3', false],
        [1, 'AMD Instinct MI300X', true],
        [2, 'AMD Instinct MI300X', true],
      ]);
    },
    timeoutMs,
  );

  test(
    'tells what its devices do, again after a broken connection until it is on record, and then no more',
    async () => {
      const tool = fakeTool('nvidia-smi', '');
      const answers = [
        '*temperature*) echo "0, 00000000:3B:00.0, 97, 70123, 84, 691.42, 700.00, 0x0000000000000020, 12, 0" ;;',
        '*) echo "0, GPU-0000, NVIDIA H100 80GB HBM3, 81559" ;;',
      ];
      const file = join(world.directory, 'bin', 'nvidia-smi');
      writeFileSync(file, `#!/bin/sh\ncase "$1" in\n${answers.join('\n')}\nesac\n`);
      world.controlPlane.recordsTelemetry = false;
      world.startAgent({}, tool);
      const told = () => world.controlPlane.heard.filter(message => message.type === 'telemetry');
      const [first] = await until('telemetry', () => (told().length > 0 ? told() : null));
      expect(first?.samples).toMatchObject([
        {
          sequence: 1,
          machine: { cpuUsage: null, agentMemoryBytes: expect.any(Number) },
          devices: [{ index: 0, utilization: 0.97, temperatureCelsius: 84, throttled: ['thermal'], eccCorrected: 12 }],
        },
      ]);
      world.controlPlane.recordsTelemetry = true;
      world.controlPlane.cut();
      const again = await until('it to be told again', () => told()[1]);
      expect(again).toMatchObject({ run: first?.run, samples: [{ sequence: 1 }] });
      expect(again.samples[0]?.ageMs).toBeGreaterThan(first?.samples[0]?.ageMs ?? 0);
      world.controlPlane.cut();
      const hellos = () => world.controlPlane.heard.filter(message => message.type === 'hello').length;
      await until('a third connection', () => hellos() >= 3);
      // A heartbeat comes a second after the connection, telemetry that is not on record with it.
      const beats = () => world.controlPlane.heard.filter(message => message.type === 'heartbeat').length;
      const before = beats();
      await until('a heartbeat of it', () => beats() > before);
      expect(
        told()
          .flatMap(({ samples }) => samples)
          .filter(({ sequence }) => sequence === 1),
      ).toHaveLength(2);
    },
    timeoutMs,
  );

  test(
    'reports a tool that it cannot read instead of ignoring it',
    async () => {
      world.startAgent({}, fakeTool('nvidia-smi', 'NVIDIA-SMI has failed because of the driver.'));
      const told = await inventory();
      expect(told.devices).toEqual([]);
      expect(told.isolationReason).toContain('nvidia-smi cannot be read');
    },
    timeoutMs,
  );

  test(
    'connects again after every loss, with heartbeats, and idles in less than 60 MiB',
    async () => {
      world.startAgent();
      await until('a connection', () => world.controlPlane.connected);
      const before = world.controlPlane.connections;
      world.controlPlane.cut();
      await until('another connection', () => world.controlPlane.connections > before && world.controlPlane.connected);
      await until('a heartbeat', () => world.controlPlane.heard.some(message => message.type === 'heartbeat'));
      if (process.platform === 'linux') {
        const status = readFileSync(`/proc/${world.agent?.pid}/smaps_rollup`, 'utf8');
        const pssBytes = Number(/^Pss:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
        expect(pssBytes).toBeLessThan(idleMemoryBytes);
      }
      expect(await world.killAgent('SIGTERM')).toBe(0);
    },
    timeoutMs,
  );

  test(
    'told to end, ends its Ray nodes first; told to keep them, leaves them to the next start',
    async () => {
      const specs = leaseSpecs(0);
      const [head] = specs;
      world.controlPlane.desire(specs);
      world.startAgent({}, {}, ['--keep-leases']);
      await until('the head to be ready', () => world.controlPlane.lease(head.leaseId)?.phase === 'ready');
      expect(await world.killAgent('SIGTERM')).toBe(0);
      const supervisor = world.leaseFile<ProcessIdentity>(head.leaseId, 'process.json');
      expect(await isAlive(supervisor)).toBe(true);

      world.controlPlane.heard.length = 0;
      world.startAgent();
      await until('the head to be adopted', () => world.controlPlane.lease(head.leaseId)?.phase === 'ready');
      expect(await world.killAgent('SIGTERM')).toBe(0);
      expect(await isAlive(supervisor)).toBe(false);
      const files = join(world.stateDir, 'leases', head.leaseId);
      expect(existsSync(join(files, 'exit.json'))).toBe(true);
      expect(await traces(world.stateDir, specs)).toEqual([head.leaseId]);
    },
    timeoutMs,
  );

  test(
    'a lease that cannot be started is told to have exited, and why',
    async () => {
      const [head] = leaseSpecs(0);
      world.controlPlane.desire([{ ...head, rayVersion: '9.9.9' }]);
      world.startAgent();
      const observed = await until('the lease', () => world.controlPlane.lease(head.leaseId));
      const lease =
        observed.phase === 'exited'
          ? observed
          : await until('its end', () => {
              const seen = world.controlPlane.lease(head.leaseId);
              return seen?.phase === 'exited' ? seen : null;
            });
      expect(lease.message).toContain('Ray 9.9.9 is not installed');
    },
    timeoutMs,
  );
});
