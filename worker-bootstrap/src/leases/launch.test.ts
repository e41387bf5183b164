import type { Device, LeaseSpec } from '@iocloud/contracts';
import { describe, expect, test } from '@jest/globals';
import { launchOf, portsInNamespace, type Surroundings } from './launch.js';

const token = 'the-token-of-the-cluster';
const head = {
  leaseId: 'ls_0123456789abcdefghjk',
  clusterId: 'cl_0123456789abcdefghjk',
  role: 'head',
  group: 'head',
  ordinal: 0,
  rayVersion: '2.60.0',
  authToken: token,
  nodeIp: '127.0.0.2',
  headIp: '127.0.0.2',
  cpus: 2,
  memoryBytes: 4 * 2 ** 30,
  deviceIndices: [],
  resources: {},
  labels: {},
} as unknown as LeaseSpec;
const gpu = (index: number, simulated = false): Device => ({
  index,
  uuid: `u${index}`,
  vendor: 'nvidia',
  model: 'NVIDIA H100 80GB HBM3',
  memoryBytes: 85e9,
  simulated,
});
const around: Surroundings = {
  environment: '/opt/ray',
  leaseDir: '/state/leases/x',
  ports: portsInNamespace('127.0.0.2'),
  memoryBytes: 64 * 2 ** 30,
  devices: [],
  sandbox: null,
  container: null,
  sessionsDir: '/state/leases/x/tmp/ray',
  dashboardSocket: null,
  gcsSocket: null,
  fenceFile: '/state/fence',
  tempDir: null,
  inherited: { HOME: '/root', SECRET: 'of the operator', https_proxy: 'http://proxy', RAY_ADDRESS: 'elsewhere' },
};

describe('what is launched for a lease', () => {
  test('tells a container neither of the machine’s files and proxies nor where its supervisor works', () => {
    const container = {
      name: 'iocloud-x',
      engine: ['podman'],
      run: ['podman', 'run'],
      remove: ['podman', 'rm'],
      renter: 7,
      sockets: '/run/iocloud/x',
    };
    const { env } = launchOf(head, { ...around, container });
    expect(env).toMatchObject({ HOME: '/home/ray', USER: 'ray', RAY_AUTH_TOKEN_PATH: '/run/ray-token' });
    expect(JSON.stringify(env)).not.toMatch(/proxy|root|\/state\//);
  });

  test('never shows the token on a command line or in an environment, but by the name of a file', () => {
    const launch = launchOf(head, around);
    expect(JSON.stringify(launch)).not.toContain(token);
    expect(launch.env).toMatchObject({ RAY_AUTH_MODE: 'token', RAY_AUTH_TOKEN_PATH: '/state/leases/x/token' });
  });

  test("passes on of the agent's environment only what a job needs", () => {
    const { env } = launchOf(head, around);
    expect(env).toMatchObject({ HOME: '/root', https_proxy: 'http://proxy' });
    expect(env).not.toHaveProperty('SECRET');
    expect(env).not.toHaveProperty('RAY_ADDRESS');
  });

  test("puts the environment's programs first on the path, so that an entrypoint's python is Ray's", () => {
    expect(launchOf(head, around).env.PATH).toMatch(/^\/opt\/ray\/bin:/);
  });

  test('gives a worker the address of its head, and no dashboard', () => {
    const worker = { ...head, role: 'worker' as const, nodeIp: '127.0.0.3' };
    const launch = launchOf(worker, { ...around, ports: portsInNamespace(worker.nodeIp) });
    expect(launch.argv).toContain('--address=127.0.0.2:6379');
    expect(launch.argv).not.toContain('--head');
    expect(launch).toMatchObject({ head: ['127.0.0.2', 6379], dashboard: null });
  });

  test('gives the object store 30 % of the memory, at most 2 GiB', () => {
    expect(launchOf(head, around).argv).toContain(`--object-store-memory=${Math.floor(0.3 * 4 * 2 ** 30)}`);
    expect(launchOf({ ...head, memoryBytes: null }, around).argv).toContain(`--object-store-memory=${2 * 2 ** 30}`);
  });

  test('names the leased devices to Ray and hides the others', () => {
    const devices = [gpu(0), gpu(1), gpu(2)];
    const leased = launchOf({ ...head, deviceIndices: [1, 2] }, { ...around, devices });
    expect(leased.env.CUDA_VISIBLE_DEVICES).toBe('1,2');
    expect(leased.argv).toContain('--num-gpus=2');
    expect(launchOf(head, { ...around, devices }).env.CUDA_VISIBLE_DEVICES).toBe('');
  });

  test('only counts simulated devices', () => {
    const launch = launchOf({ ...head, deviceIndices: [0] }, { ...around, devices: [gpu(0, true)] });
    expect(launch.argv).toContain('--num-gpus=1');
    expect(launch.env).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
  });

  test('carries resources and labels', () => {
    const { argv } = launchOf({ ...head, resources: { slots: 3 }, labels: { zone: 'a', disk: 'nvme' } }, around);
    expect(argv).toContain('--resources={"slots":3}');
    expect(argv).toContain('--labels=zone=a,disk=nvme');
  });

  test('carries labels that Ray keeps for itself past its command line', () => {
    const labels = { zone: 'a', 'ray.io/accelerator-type': 'H100' };
    const { argv, env } = launchOf({ ...head, labels }, around);
    expect(argv).toContain('--labels=zone=a');
    expect(JSON.parse(env.RAY_OVERRIDE_LABELS ?? '')).toEqual({ 'ray.io/accelerator-type': 'H100' });
    expect(launchOf(head, around).env).not.toHaveProperty('RAY_OVERRIDE_LABELS');
  });
});

test('nodes of a cluster that share a network have agent ports of their own, outside the range of outgoing ones', () => {
  const ports = Array.from({ length: 1000 }, (_, n) => portsInNamespace(`127.0.${n >> 8}.${n & 255}`)).flatMap(
    ({ dashboardAgent, dashboardAgentGrpc, runtimeEnvAgent, metricsExport }) => [
      dashboardAgent,
      dashboardAgentGrpc,
      runtimeEnvAgent,
      metricsExport,
    ],
  );
  expect(new Set(ports).size).toBe(4_000);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});
