/** What the machine shows to anyone who looks: for tests that nothing is left behind and nothing can be reached. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { LeaseSpec } from '@iocloud/contracts';
import { networkName, runtimeDirectory } from '../sandbox/index.js';
import { rayEnvironment } from './world.js';

const listTables = `
from pyroute2.nftables.main import NFTables
for family in (1, 2):
    with NFTables(nfgen_family=family) as nft:
        for table in nft.get_tables():
            print(family, table.get_attr('NFTA_TABLE_NAME'))
`;

/** All that an agent of this state directory has on the machine outside of it: empty when nothing of it runs. */
export async function traces(stateDir: string, leases: readonly LeaseSpec[]): Promise<string[]> {
  const python = join(rayEnvironment(), 'bin', 'python');
  const tables = process.getuid?.() === 0 ? execFileSync(python, ['-c', listTables], { encoding: 'utf8' }) : '';
  const mounts = read('/proc/self/mountinfo').split('\n');
  const networks = [...leases.map(lease => lease.clusterId), 'trial'].map(id => networkName(stateDir, id));
  const isOurs = (text: string) => networks.some(name => text.includes(name));
  const runtime = (['namespace', 'token-only'] as const).map(isolation => runtimeDirectory(isolation, stateDir));
  const running = await Promise.all(leases.map(({ leaseId }) => processesNamed('', leaseId)));
  return [
    ...Object.keys(networkInterfaces()).filter(isOurs),
    ...tables.split('\n').filter(isOurs),
    ...mounts.filter(line => isOurs(line) || line.includes(stateDir)),
    ...runtime.filter(existsSync),
    ...running.flat().map(pid => `process ${pid} ${read(`/proc/${pid}/cmdline`)}`),
    ...readdirSync(join(stateDir, 'leases')),
  ];
}

/** Pids whose command line holds `text`, and whose environment holds `marker`. */
export async function processesNamed(text: string, marker = ''): Promise<number[]> {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(pid => read(`/proc/${pid}/cmdline`).includes(text) && read(`/proc/${pid}/environ`).includes(marker))
    .map(Number);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** TCP ports that something listens on in the network namespace of a process. */
export async function listeningPorts(pid: number): Promise<number[]> {
  const ports = ['tcp', 'tcp6'].flatMap(kind =>
    read(`/proc/${pid}/net/${kind}`)
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .filter(fields => fields[3] === '0A')
      .map(fields => Number.parseInt(fields[1]?.split(':')[1] ?? '', 16)),
  );
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Every IPv4 address of the machine and of the network namespace of a process. */
export function machineAddresses(pid: number): string[] {
  const own = Object.values(networkInterfaces()).flatMap(list => list?.map(({ address }) => address) ?? []);
  const local = [...read(`/proc/${pid}/net/fib_trie`).matchAll(/\|-- (\S+)\n\s+\/32 host LOCAL/g)].map(
    match => match[1] ?? '',
  );
  return [...new Set([...own, ...local])].filter(address => !address.startsWith('fe80'));
}

export function reachable(host: string, port: number, timeoutMs = 1_500): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port });
    const settle = (value: boolean) => {
      socket.destroy();
      resolve(value);
    };
    socket.setTimeout(timeoutMs, () => settle(false));
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
