/** The agent program on real Ray, with a control plane of a few lines. Needs the built programs and the set-up's venv. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LeaseSpec } from '@iocloud/contracts';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { listeningPorts, machineAddresses, processesNamed, reachable, traces } from './testing/machine.js';
import { leaseSpecs, until, World } from './testing/world.js';

const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
if (!isRoot) process.stderr.write('not root on Linux: the promises about namespaces are NOT tested in this run\n');
const asRoot = isRoot ? test : test.skip;
const timeoutMs = 180_000;

let world: World;
beforeEach(async () => {
  world = new World();
  await world.controlPlane.listen();
});
afterEach(async () => {
  await world.destroy();
}, 60_000);

async function ready(specs: LeaseSpec[]): Promise<void> {
  for (const { leaseId } of specs) {
    await until(`lease ${leaseId} to be ready`, () => {
      const lease = world.controlPlane.lease(leaseId);
      if (lease?.phase === 'exited') throw new Error(`exited: ${lease.message}\n${world.output}`);
      return lease?.phase === 'ready';
    });
  }
}

async function submit(head: LeaseSpec, submissionId: string, entrypoint: string): Promise<void> {
  const answer = await world.controlPlane.call(head.leaseId, '/api/jobs/', {
    method: 'POST',
    token: head.authToken,
    body: { entrypoint, submission_id: submissionId },
  });
  expect(answer).toMatchObject({ status: 200 });
}

const status = async (head: LeaseSpec, submissionId: string) =>
  JSON.parse((await world.controlPlane.call(head.leaseId, `/api/jobs/${submissionId}`, { token: head.authToken })).text)
    .status as string;

async function follow(head: LeaseSpec, submissionId: string, fromByte = 0) {
  const { stream, answer } = await world.controlPlane.open({
    kind: 'job-log',
    clusterId: head.clusterId,
    submissionId,
    fromByte,
    follow: true,
  });
  expect(answer).toEqual({ ok: true });
  const log = { text: '', close: () => stream.destroy() };
  stream.on('data', (chunk: Buffer) => {
    log.text += chunk.toString();
  });
  return log;
}

describe('a machine that is cut off', () => {
  test(
    'ends its Ray nodes when their time is over, though its agent hangs, and says so when it is back',
    async () => {
      const specs = leaseSpecs(0);
      const [head] = specs;
      world.startAgent();
      world.controlPlane.desire(specs);
      await ready(specs);
      world.controlPlane.answersHeartbeats = false;
      world.controlPlane.heard.length = 0;
      const beat = await until('a heartbeat', () => world.controlPlane.heard.find(one => one.type === 'heartbeat'));
      world.controlPlane.say(`${JSON.stringify({ type: 'heard', beat: beat.beat, fenceAfterMs: 6_000 })}\n`);
      await until('the fence', () => readFileSync(join(world.stateDir, 'fence'), 'utf8').trim().endsWith(' 6000'));
      expect((await processesNamed('', head.leaseId)).length).toBeGreaterThan(1);
      world.agent?.kill('SIGSTOP');
      await until(
        'its Ray nodes to be gone',
        async () => (await processesNamed('', head.leaseId)).length === 0,
        15_000,
      );
      world.agent?.kill('SIGCONT');
      await until('its agent to say so', () => world.controlPlane.lease(head.leaseId)?.phase === 'exited');
      expect(world.controlPlane.lease(head.leaseId)?.message).toContain('out of reach for too long');
    },
    timeoutMs,
  );
});

describe('the agent', () => {
  test(
    'runs a head and workers, carries the dashboard and a job log, and leaves nothing behind',
    async () => {
      const specs = leaseSpecs(2);
      const [head] = specs;
      world.startAgent();
      world.controlPlane.desire(specs);
      await ready(specs);
      expect((await traces(world.stateDir, specs)).length).toBeGreaterThan(specs.length);
      expect(new Set(specs.map(spec => world.controlPlane.lease(spec.leaseId)?.rayNodeId)).size).toBe(3);
      expect(world.controlPlane.userNames).toContain(world.nodeId);

      const version = await world.controlPlane.call(head.leaseId, '/api/version', { token: head.authToken });
      expect(version.status).toBe(200);
      expect(JSON.parse(version.text)).toMatchObject({ ray_version: head.rayVersion });
      for (const token of [undefined, 'wrong']) {
        const refused = await world.controlPlane.call(head.leaseId, '/api/version', token ? { token } : {});
        expect([401, 403]).toContain(refused.status);
      }

      const early = await follow(head, 'job-1');
      await submit(head, 'job-1', 'python -c "import ray; ray.init(); print(len(ray.nodes()), \'nodes\')"');
      await until('the job to succeed', async () => (await status(head, 'job-1')) === 'SUCCEEDED');
      await until('the followed log', () => early.text.includes('3 nodes'));
      early.close();

      const whole = await world.controlPlane.open({
        kind: 'job-log',
        clusterId: head.clusterId,
        submissionId: 'job-1',
        fromByte: 5,
        follow: false,
      });
      let text = '';
      for await (const chunk of whole.stream) text += chunk;
      expect(early.text.slice(5)).toBe(text);

      for (const submissionId of ['../../etc/passwd', 'a/b', 'a\0b', '']) {
        const request = {
          kind: 'job-log',
          clusterId: head.clusterId,
          submissionId,
          fromByte: 0,
          follow: false,
        } as const;
        expect((await world.controlPlane.open(request)).answer).toMatchObject({ ok: false, code: 'bad-request' });
      }
      const missing = {
        kind: 'job-log',
        clusterId: head.clusterId,
        submissionId: 'no',
        fromByte: 0,
        follow: false,
      } as const;
      expect((await world.controlPlane.open(missing)).answer).toMatchObject({ ok: false, code: 'not-found' });
      expect((await world.controlPlane.open('nonsense\n')).answer).toMatchObject({ ok: false, code: 'bad-request' });

      world.controlPlane.desire([]);
      await until('the leases to be gone', () => specs.every(spec => !world.controlPlane.lease(spec.leaseId)));
      expect(await world.killAgent('SIGTERM')).toBe(0);
      expect(await traces(world.stateDir, specs)).toEqual([]);
    },
    timeoutMs,
  );

  asRoot(
    'lets nobody on the machine connect to any port that Ray opens',
    async () => {
      const specs = leaseSpecs(1);
      world.startAgent({ isolation: 'namespace' });
      world.controlPlane.desire(specs);
      await ready(specs);
      const { pid } = world.leaseFile<{ pid: number }>(specs[0].leaseId, 'process.json');
      const ports = await listeningPorts(pid);
      expect(ports).toEqual(expect.arrayContaining([6379, 8265]));
      expect(ports.length).toBeGreaterThan(8);
      const outside = new Set(await listeningPorts(process.pid));
      const addresses = [...machineAddresses(pid), '127.0.0.2', '127.0.0.3'];
      const open: string[] = [];
      await Promise.all(
        addresses.flatMap(address =>
          ports
            .filter(port => !outside.has(port))
            .map(async port => {
              if (await reachable(address, port)) open.push(`${address}:${port}`);
            }),
        ),
      );
      expect(open).toEqual([]);
    },
    timeoutMs,
  );

  test(
    'killed with -9 while a job runs, adopts all of it at the next start, and the job ends well',
    async () => {
      const specs = leaseSpecs(0);
      const [head] = specs;
      world.startAgent();
      world.controlPlane.desire(specs);
      await ready(specs);
      const wait = `import os,time\nprint('begun',flush=True)\nfor _ in range(600):\n  time.sleep(0.1)\n  if os.path.exists('/dev/shm/go'): break\nos.path.exists('/dev/shm/go') and os.remove('/dev/shm/go')\nprint('ended')`;
      await submit(head, 'long', `python -c "${wait}"`);
      const first = await follow(head, 'long');
      await until('the job to begin', () => first.text.includes('begun'));
      const process_ = world.leaseFile(head.leaseId, 'process.json');

      await world.killAgent('SIGKILL');
      world.controlPlane.heard.length = 0;
      world.controlPlane.fallSilent();
      world.startAgent();
      await ready(specs); // told nothing yet, it ends nothing
      world.controlPlane.desire(specs);
      await until('the desired state to be taken in', () =>
        world.controlPlane.heard.some(message => message.type === 'observed' && message.revision === 2),
      );
      expect(world.leaseFile(head.leaseId, 'process.json')).toEqual(process_);
      expect(await status(head, 'long')).toBe('RUNNING');
      await submit(head, 'go', 'touch /dev/shm/go');
      await until('the job to succeed', async () => (await status(head, 'long')) === 'SUCCEEDED');
      const second = await follow(head, 'long', Buffer.byteLength(first.text));
      await until('the rest of the log', () => (first.text + second.text).includes('begun\nended\n'));
    },
    timeoutMs,
  );

  test(
    'tells when a Ray node dies by itself or its supervisor is killed, never starts it again, and no driver lives on',
    async () => {
      const specs = leaseSpecs(1);
      const [head, worker] = specs;
      if (!worker) throw new Error('no worker');
      world.startAgent();
      world.controlPlane.desire(specs);
      await ready(specs);
      await submit(head, 'endless', 'sleep 86399');
      await until('the driver', async () => (await processesNamed('sleep\0' + '86399')).length > 0);

      const [raylet] = await processesNamed(`--node_ip_address=${worker.nodeIp}`, worker.leaseId);
      if (!raylet) throw new Error('no raylet found');
      process.kill(raylet, 'SIGKILL');
      const observed = await until('the worker to have exited', () => {
        const lease = world.controlPlane.lease(worker.leaseId);
        return lease?.phase === 'exited' ? lease : null;
      });
      expect(observed.message).toMatch(/raylet/);
      expect(world.controlPlane.lease(head.leaseId)?.phase).toBe('ready');

      const { pid } = world.leaseFile<{ pid: number }>(head.leaseId, 'process.json');
      process.kill(pid, 'SIGKILL');
      await until('the head to have exited', () => world.controlPlane.lease(head.leaseId)?.phase === 'exited');
      expect(await processesNamed('sleep\0' + '86399')).toEqual([]);

      // Its log can still be had, until it is no longer desired.
      const request = {
        kind: 'job-log',
        clusterId: head.clusterId,
        submissionId: 'endless',
        fromByte: 0,
        follow: false,
      } as const;
      expect((await world.controlPlane.open(request)).answer).toMatchObject({ ok: true });
      await world.killAgent('SIGKILL');
      world.controlPlane.heard.length = 0;
      world.startAgent();
      await until('the leases again', () => world.controlPlane.lease(head.leaseId)?.phase === 'exited');
      world.controlPlane.desire([]);
      await until('the wipe', () => !world.controlPlane.lease(head.leaseId));
      world.controlPlane.desire(specs);
      const again = await until('an answer', () => world.controlPlane.lease(head.leaseId));
      expect(again).toMatchObject({ phase: 'exited', message: expect.stringContaining('never started twice') });
      await world.killAgent('SIGTERM');
      expect(await traces(world.stateDir, specs)).toEqual([]);
    },
    timeoutMs,
  );

  test(
    'without namespaces still ends every process of a lease, and two clusters fit side by side',
    async () => {
      const specs = [...leaseSpecs(0), ...leaseSpecs(0)].map((spec, index) => ({
        ...spec,
        nodeIp: `127.0.0.${index + 2}`,
        headIp: `127.0.0.${index + 2}`,
      }));
      world.startAgent({ isolation: 'token-only' });
      world.controlPlane.desire(specs);
      await ready(specs);
      const [first] = specs;
      if (!first) throw new Error('no lease');
      expect((await world.controlPlane.call(first.leaseId, '/api/version')).status).toBe(401);
      expect((await world.controlPlane.call(first.leaseId, '/api/version', { token: first.authToken })).status).toBe(
        200,
      );
      await submit(first, 'endless', 'sleep 86398');
      await until('the driver', async () => (await processesNamed('sleep\0' + '86398')).length > 0);
      const { pid } = world.leaseFile<{ pid: number }>(first.leaseId, 'process.json');
      process.kill(pid, 'SIGKILL');
      await until('the head to have exited', () => world.controlPlane.lease(first.leaseId)?.phase === 'exited');
      expect(await processesNamed('sleep\0' + '86398')).toEqual([]);
      world.controlPlane.desire([]);
      await until('the leases to be gone', () => specs.every(spec => !world.controlPlane.lease(spec.leaseId)));
      await world.killAgent('SIGTERM');
      expect(await traces(world.stateDir, specs)).toEqual([]);
    },
    timeoutMs,
  );
});
