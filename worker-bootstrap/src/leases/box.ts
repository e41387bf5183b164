/** Makes what the container of a lease needs, and says how it is started. */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device, LeaseSpec } from '@iocloud/contracts';
import { type Containers, type Mount, makeVolume, renterId, type Sandbox, volumeMounts } from '../sandbox/index.js';
import { containerHome, containerToken, containerUser, type LaunchedContainer } from './launch.js';

interface Around {
  sandbox: Sandbox;
  containers: Containers;
  leaseDir: string;
  fenceFile: string;
  /** Memory of the node where the lease names none. Bytes. */
  memoryBytes: number;
  devices: readonly Device[];
}

const readOnly = (path: string, target = path): Mount => ({ source: path, target, writable: false });
const writable = (path: string): Mount => ({ source: path, target: path, writable: true });

export async function makeBox(spec: LeaseSpec, around: Around): Promise<LaunchedContainer> {
  const { sandbox, containers, leaseDir } = around;
  const name = containers.nameOf(spec.leaseId);
  const sockets = sandbox.socketDirectory(spec.leaseId);
  await mkdir(sockets, { recursive: true, mode: 0o700 });
  await makeVolume(leaseDir, containers.diskBytes, renterId);
  const accounts = await writeAccounts(leaseDir);
  // Made by the agent as any directory of its own; what the tenant's jobs keep there belongs to renters.
  if (spec.checkpointDir !== null) await chown(spec.checkpointDir, renterId, renterId);
  const run = containers.runCommand({
    name,
    network: await sandbox.openNetwork(spec.clusterId),
    cpus: spec.cpus,
    memoryBytes: containers.memoryLimitOf(spec.memoryBytes ?? around.memoryBytes),
    devices: around.devices.filter(device => spec.deviceIndices.includes(device.index)),
    mounts: [
      ...volumeMounts(leaseDir),
      writable(leaseDir),
      writable(sockets),
      readOnly(around.fenceFile),
      ...accounts,
      readOnly(join(leaseDir, 'token'), containerToken),
      ...(spec.checkpointDir === null ? [] : [writable(spec.checkpointDir)]),
    ],
    command: sandbox.supervisorCommand(leaseDir),
  });
  const remove = containers.removeCommand(name);
  return { name, engine: containers.command, run, remove, renter: renterId, sockets };
}

/** Programs ask who they are, and shells what to start. */
async function writeAccounts(leaseDir: string): Promise<Mount[]> {
  const nobody = 65_534;
  const passwd = [
    'root:x:0:0:root:/root:/usr/sbin/nologin',
    `${containerUser}:x:${renterId}:${renterId}::${containerHome}:/bin/bash`,
    `nobody:x:${nobody}:${nobody}::/nonexistent:/usr/sbin/nologin`,
  ];
  const group = ['root:x:0:', `${containerUser}:x:${renterId}:`, `nogroup:x:${nobody}:`];
  const mounts: Mount[] = [];
  for (const [name, lines] of Object.entries({ passwd, group })) {
    const file = join(leaseDir, name);
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o644 });
    mounts.push(readOnly(file, `/etc/${name}`));
  }
  return mounts;
}
