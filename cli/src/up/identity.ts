/** Keys and names that are made at the first start and kept: the API key, the device key of this machine, the host key. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newId } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { type SignedRelease, signAgentRelease } from './agent-release.js';
import type { Settings } from './settings.js';
import { rayVersion, repository } from './settings.js';

export interface Identity {
  secretsDir: string;
  apiKey: string;
  nodeId: string;
  bootstrapFile: string;
  deviceKeyFile: string;
  hostPublicKey: string;
  /** The agent that joining machines are given. */
  release: SignedRelease;
}

/** Written whole or not at all, readable by nobody else. */
export function writePrivate(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  chmodSync(`${path}.new`, 0o600);
  renameSync(`${path}.new`, path);
}

function keyPair(file: string, comment: string): string {
  const publicFile = `${file}.pub`;
  if (!existsSync(file) || !existsSync(publicFile)) {
    const pair = newSshKeyPair(comment);
    writePrivate(publicFile, `${pair.public}\n`);
    writePrivate(file, pair.private);
  }
  return readFileSync(publicFile, 'utf8').trim();
}

/** Makes what is missing. */
export function ensureIdentity({ home, signingKey }: Pick<Settings, 'home' | 'signingKey'>): Identity {
  const secretsDir = join(home, 'secrets');
  mkdirSync(secretsDir, { recursive: true, mode: 0o700 });
  const bootstrapFile = join(secretsDir, 'bootstrap.json');
  const deviceKeyFile = join(secretsDir, 'device_ed25519_key');
  const publicKey = keyPair(deviceKeyFile, 'iocloud device');
  const hostPublicKey = keyPair(join(secretsDir, 'ssh_host_ed25519_key'), 'iocloud host');
  if (!existsSync(bootstrapFile)) {
    const secret = randomBytes(32).toString('base64url');
    const apiKey = `ioc_${newId('apiKey', randomBytes).slice('ak_'.length)}_${secret}`;
    const node = { id: newId('node', randomBytes), name: 'local', publicKey };
    writePrivate(bootstrapFile, JSON.stringify({ tenant: 'default', user: 'owner', apiKey, nodes: [node] }, null, 2));
  }
  const releaseKeyFile = join(secretsDir, 'agent_release_ed25519_key');
  if (signingKey === undefined) keyPair(releaseKeyFile, 'iocloud agent releases');
  const packed = join(repository, 'worker-bootstrap', 'release');
  const bootstrap = JSON.parse(readFileSync(bootstrapFile, 'utf8'));
  return {
    secretsDir,
    apiKey: bootstrap.apiKey,
    nodeId: bootstrap.nodes[0].id,
    bootstrapFile,
    deviceKeyFile,
    hostPublicKey,
    release: signAgentRelease(home, packed, signingKey ?? releaseKeyFile),
  };
}

export function agentConfigFile(home: string): string {
  return join(home, 'agent.json');
}

/** The agent's configuration file; returns its path. */
export function writeAgentConfig(settings: Settings, identity: Identity, sshPort: number): string {
  const file = agentConfigFile(settings.home);
  const config = {
    controlPlane: { host: '127.0.0.1', port: sshPort, hostKey: identity.hostPublicKey },
    nodeId: identity.nodeId,
    deviceKeyFile: identity.deviceKeyFile,
    stateDir: join(settings.home, 'agent'),
    rayEnvironments: { [rayVersion]: settings.venv },
    // Its renter is its owner, whose own networks are no secret.
    allowedNetworks: ['0.0.0.0/0'],
    ...(settings.wireguardGo === undefined ? {} : { wireguardGo: settings.wireguardGo }),
    ...(settings.nodeCpus === undefined ? {} : { cpus: settings.nodeCpus }),
    ...(settings.nodeMemoryBytes === undefined ? {} : { memoryBytes: settings.nodeMemoryBytes }),
    ...(settings.simulatedDevices.length === 0 ? {} : { simulatedDevices: settings.simulatedDevices }),
  };
  writePrivate(file, JSON.stringify(config, null, 2));
  return file;
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The file to source: all that `ray`, `iocloud` and curl need in a shell. */
export function writeEnvFile(settings: Settings, identity: Identity, address: string, repository: string): string {
  const binDir = join(settings.home, 'bin');
  mkdirSync(binDir, { recursive: true });
  const program = join(binDir, 'iocloud');
  writeFileSync(
    program,
    `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(join(repository, 'cli/bin/iocloud.js'))} "$@"\n`,
  );
  chmodSync(program, 0o755);
  const variables = {
    RAY_ADDRESS: address,
    RAY_API_SERVER_ADDRESS: address,
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN: identity.apiKey,
    // For Ray clients that know no token authentication (before 2.52).
    RAY_JOB_HEADERS: JSON.stringify({ Authorization: `Bearer ${identity.apiKey}` }),
    IOCLOUD_ADDRESS: address,
    IOCLOUD_API_KEY: identity.apiKey,
  };
  const file = join(settings.home, 'env');
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`);
  lines.push(`export PATH="${join(settings.venv, 'bin')}:${binDir}:$PATH"`);
  writePrivate(file, `${lines.join('\n')}\n`);
  return file;
}
