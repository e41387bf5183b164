/** The agent's configuration: one JSON file, read once at start; an unknown or bad key stops the start. */
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { nodeId } from '@iocloud/contracts';
import { z } from 'zod';

const absolutePath = z.string().refine(isAbsolute, 'expected an absolute path');

export const simulatedDevices = z.strictObject({
  vendor: z.enum(['nvidia', 'amd']),
  model: z.string().min(1).max(128),
  memoryBytes: z.int().min(0),
  count: z.int().min(1).max(64),
});

const container = z.strictObject({
  /** What leases see as their machine, beside Ray's environment; pulled where it is not there. */
  image: z.string().min(1).max(512),
  /** Name or path of podman. */
  engine: z.string().min(1).default('podman'),
  /** OCI runtime; absent: the engine's own, else runc or crun, whichever works. */
  runtime: z.string().min(1).optional(),
  /** What a lease may write. Bytes. */
  diskBytes: z
    .int()
    .min(64 * 2 ** 20)
    .default(20 * 2 ** 30),
});

export const agentConfig = z
  .strictObject({
    controlPlane: z.strictObject({
      host: z.string().min(1),
      port: z.int().min(1).max(65_535),
      /** The control plane's ed25519 host key as one OpenSSH line. No other server is talked to. */
      hostKey: z.string().regex(/^ssh-ed25519 [A-Za-z0-9+/]+=*( |$)/, 'expected one line: ssh-ed25519 AAAA…'),
    }),
    nodeId,
    /** Private ed25519 key in OpenSSH format, mode 0600: see createDeviceKey. */
    deviceKeyFile: absolutePath,
    /** Kept between starts: leases and their logs. One agent per directory. */
    stateDir: absolutePath,
    /** Ray release → virtual environment that holds it, with `pyroute2` beside it for the namespaces' network. */
    rayEnvironments: z.record(z.string().regex(/^\d+\.\d+\.\d+$/, 'expected a release such as 2.60.0'), absolutePath),
    /** What is offered, where it is not the whole machine. */
    cpus: z.number().positive().optional(),
    memoryBytes: z.int().positive().optional(),
    /** Devices that do not exist, for tests and demonstrations. They are marked as simulated wherever they show. */
    simulatedDevices: z.array(simulatedDevices).default([]),
    /** Programs that prove what accelerators are, built from worker-bootstrap/gpu: vendor → absolute path. */
    proofPrograms: z.strictObject({ nvidia: absolutePath.optional(), amd: absolutePath.optional() }).default({}),
    /**
     * auto: containers where `container` is given and they work, else namespaces where the machine allows them, else tokens
     * alone. container, namespace: refuse to start without.
     */
    isolation: z.enum(['auto', 'container', 'namespace', 'token-only']).default('auto'),
    /** By what leases run in containers; see docs/isolation.md. Absent: they run as plain processes. */
    container: container.optional(),
    /**
     * Networks that leases may reach beside the internet: as `10.1.0.0/16`; `0.0.0.0/0` lets them reach all that the machine
     * does. Else they reach no private network, no neighbour and nothing of the machine itself.
     */
    allowedNetworks: z.array(z.cidrv4()).max(64).default([]),
    /** wireguard-go, for clusters that stand on several machines. Absent: the one on the PATH. */
    wireguardGo: absolutePath.optional(),
    /** What SIGTERM does to running Ray nodes: false ends them, true leaves them for the next start to adopt. */
    keepLeases: z.boolean().default(false),
    logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  })
  .refine(({ isolation, container }) => isolation !== 'container' || container !== undefined, {
    path: ['container'],
    message: 'isolation "container" needs an image: {"container": {"image": "…"}}',
  });
export type AgentConfig = z.infer<typeof agentConfig>;
/** The configuration as written in the file, before defaults. */
export type AgentConfigInput = z.input<typeof agentConfig>;

/** A configuration that cannot be used. The message is one line, naming file, key and fault. */
export class ConfigFault extends Error {}

/** Throws ConfigFault. */
export function readConfig(file: string): AgentConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigFault(`${file}: cannot be read: ${(error as Error).message}`);
  }
  return parseConfig(text, file);
}

/** Throws ConfigFault. `file` is only named in messages. */
export function parseConfig(text: string, file: string): AgentConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ConfigFault(`${file}: is not JSON`);
  }
  const parsed = agentConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(issue =>
    issue.code === 'unrecognized_keys'
      ? `unknown key ${[...issue.path, issue.keys[0]].join('.')}`
      : `${issue.path.join('.') || 'the file'}: ${issue.message}`,
  );
  throw new ConfigFault(`${file}: ${faults.join('; ')}`);
}
