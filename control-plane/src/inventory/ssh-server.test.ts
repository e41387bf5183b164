import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import {
  type AgentMessage,
  agentSubsystem,
  type NodeId,
  type StreamRequest,
  streamForwardPath,
} from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import ssh2 from 'ssh2';
import { provesKey } from '../platform/index.js';
import { AgentConnection } from './agent-connection.js';
import { normalisePublicKey } from './device-key.js';
import { SshServer } from './ssh-server.js';

const log = pino({ level: 'silent' });
const nodeId = 'nd_0123456789abcdefghjk' as NodeId;
const leaseId = 'ls_0123456789abcdefghjk' as never;
const hostKey = Buffer.from(newSshKeyPair().private);
const device = newSshKeyPair();
const stranger = newSshKeyPair();

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** `handle`: what is made of a message once it is heard. */
async function startSshServer(
  onAgent: (agent: AgentConnection) => void = () => undefined,
  handle: (message: AgentMessage) => Promise<void> = async () => undefined,
) {
  const heard: AgentMessage[] = [];
  const refused: string[] = [];
  let told: () => void = () => undefined;
  const refusal = new Promise<void>(resolve => {
    told = resolve;
  });
  const server = new SshServer({
    host: '127.0.0.1',
    port: 0,
    hostKey,
    log,
    onRefused: userName => {
      refused.push(userName);
      told();
    },
    enrolledKey: async userName => (userName === nodeId ? normalisePublicKey(device.public) : null),
    onAgent: (id, connection) =>
      onAgent(
        new AgentConnection(id, connection, log, async message => {
          heard.push(message);
          await handle(message);
        }),
      ),
  });
  const port = await server.listen();
  cleanups.push(() => server.close());
  return { port, heard, refused, refusal };
}

function dial(port: number, options: { username?: string; privateKey?: string; password?: string }) {
  const client = new ssh2.Client();
  cleanups.push(() => void client.end());
  const outcome = new Promise<'ready' | string>(resolve => {
    client.on('ready', () => resolve('ready'));
    client.on('error', error => resolve(error.message));
  });
  client.connect({ host: '127.0.0.1', port, username: nodeId, strictVendor: false, ...options });
  return { client, outcome };
}

const openControl = (client: ssh2.Client) =>
  new Promise<Duplex>((resolve, reject) =>
    client.subsys(agentSubsystem, (error, channel) => (error ? reject(error) : resolve(channel))),
  );

describe('the SSH server of the agents', () => {
  test('lets in a device that proves its enrolled key', async () => {
    const { port, refused } = await startSshServer();
    const { outcome } = dial(port, { privateKey: device.private });
    expect(await outcome).toBe('ready');
    expect(refused).toEqual([]);
  });

  test('refuses another key under an enrolled name', async () => {
    const { port, refused, refusal } = await startSshServer();
    expect(await dial(port, { privateKey: stranger.private }).outcome).toMatch(/authentication methods failed/);
    await refusal;
    // Its owner shall know.
    expect(refused).toEqual([nodeId]);
  });

  test('refuses an enrolled key under another name', async () => {
    const { port } = await startSshServer();
    const outcome = dial(port, { username: 'nd_zzzzzzzzzzzzzzzzzzzz', privateKey: device.private }).outcome;
    expect(await outcome).toMatch(/authentication methods failed/);
  });

  test('refuses passwords', async () => {
    const { port } = await startSshServer();
    expect(await dial(port, { password: 'secret' }).outcome).toMatch(/authentication methods failed/);
  });

  test('gives a device no shell, no command and no port forward', async () => {
    const { port } = await startSshServer(() => undefined);
    const { client, outcome } = dial(port, { privateKey: device.private });
    expect(await outcome).toBe('ready');
    const refused = (call: (done: (error: Error | undefined) => void) => void) =>
      new Promise<boolean>(resolve => call(error => resolve(error !== undefined)));
    expect(await refused(done => client.exec('id', done))).toBe(true);
    expect(await refused(done => client.shell(done))).toBe(true);
    expect(await refused(done => client.forwardIn('127.0.0.1', 0, done))).toBe(true);
    expect(await refused(done => client.forwardOut('127.0.0.1', 1, '127.0.0.1', 5432, done))).toBe(true);
  });

  test('opens a stream to the agent, whose bytes come through both ways', async () => {
    const agents: AgentConnection[] = [];
    const { port, heard } = await startSshServer(agent => agents.push(agent));
    const { client, outcome } = dial(port, { privateKey: device.private });
    const requests: StreamRequest[] = [];
    client.on('unix connection', (_info, accept) => {
      const stream: Duplex = accept();
      stream.once('data', (chunk: Buffer) => {
        requests.push(JSON.parse(chunk.toString()));
        // The answer and the first bytes of the stream in one packet: the boundary must not matter.
        stream.write('{"ok":true}\nhello ');
        stream.on('data', (more: Buffer) => stream.write(more.toString().toUpperCase()));
      });
    });
    expect(await outcome).toBe('ready');
    const control = await openControl(client);
    await new Promise<void>((resolve, reject) =>
      client.openssh_forwardInStreamLocal(streamForwardPath, error => (error ? reject(error) : resolve())),
    );
    control.write('{"type":"heartbeat","beat":1,"diskFreeBytes":1,"memoryAvailableBytes":2,"load1":0.5}\n');
    const agent = agents[0];
    if (!agent) throw new Error('no agent came');
    const stream = await agent.openStream({ kind: 'dashboard', leaseId });
    expect(requests).toEqual([{ kind: 'dashboard', leaseId }]);
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.write('world');
    while (!text.includes('WORLD')) await once(stream, 'data');
    expect(text).toBe('hello WORLD');
    expect(heard).toEqual([{ type: 'heartbeat', beat: 1, diskFreeBytes: 1, memoryAvailableBytes: 2, load1: 0.5 }]);
  });

  test('hears heartbeats while an observation takes long to be recorded, and of those that wait the newest', async () => {
    let recorded = (): void => undefined;
    const slow = new Promise<void>(resolve => {
      recorded = resolve;
    });
    let beats = 0;
    const enough = { beat: (): void => undefined, last: (): void => undefined };
    const beat = new Promise<void>(resolve => {
      enough.beat = resolve;
    });
    const last = new Promise<void>(resolve => {
      enough.last = resolve;
    });
    const { port, heard } = await startSshServer(undefined, async message => {
      if (message.type === 'heartbeat' && ++beats === 2) enough.beat();
      if (message.type !== 'observed') return;
      if (message.revision === 3) enough.last();
      await slow;
    });
    const { client, outcome } = dial(port, { privateKey: device.private });
    expect(await outcome).toBe('ready');
    const control = await openControl(client);
    const observed = (revision: number) => `{"type":"observed","revision":${revision},"leases":[]}\n`;
    const heartbeat = '{"type":"heartbeat","beat":1,"diskFreeBytes":1,"memoryAvailableBytes":2,"load1":0.5}\n';
    control.write(observed(1) + heartbeat + observed(2) + observed(3) + heartbeat);
    await beat;
    expect(heard.map(({ type }) => type)).toEqual(['observed', 'heartbeat', 'heartbeat']);
    recorded();
    await last;
    expect(heard.at(-1)).toEqual({ type: 'observed', revision: 3, leases: [] });
    expect(heard).toHaveLength(4);
  });

  test('an agent that talks nonsense is cut off', async () => {
    const { port, heard } = await startSshServer(() => undefined);
    const { client, outcome } = dial(port, { privateKey: device.private });
    expect(await outcome).toBe('ready');
    const closed = once(client, 'close');
    const control = await openControl(client);
    control.write('{"type":"observed","revision":"all of them"}\n');
    await closed;
    expect(heard).toEqual([]);
  });
});

describe('who is no machine', () => {
  const renter = newSshKeyPair();

  async function startWithRenters(enrolled: (name: string) => Promise<string | null> = async () => null) {
    const seen: { renter: string; name: string }[] = [];
    let failures = 0;
    const line = normalisePublicKey(renter.public);
    const server = new SshServer({
      host: '127.0.0.1',
      port: 0,
      hostKey,
      log,
      enrolledKey: enrolled,
      onRefused: () => undefined,
      onAgent: id => seen.push({ renter: 'agent', name: id }),
      renters: {
        identify: async context => (provesKey(context, line) ? `renter with ${context.key.algo}` : null),
        failed: () => {
          failures += 1;
        },
        serve: (_connection, who, name) => seen.push({ renter: who as string, name }),
      },
    });
    const port = await server.listen();
    cleanups.push(() => server.close());
    return { port, seen, failures: () => failures };
  }

  test('comes in by a registered key, whatever name they ask for', async () => {
    const { port, seen } = await startWithRenters();
    expect(await dial(port, { username: 'team+workers-0', privateKey: renter.private }).outcome).toBe('ready');
    expect(seen).toEqual([{ renter: 'renter with ssh-ed25519', name: 'team+workers-0' }]);
  });

  test('is a renter, too, under the name of a machine, and that machine is itself by its own key', async () => {
    const enrolled = async (name: string) => (name === nodeId ? normalisePublicKey(device.public) : null);
    const { port, seen } = await startWithRenters(enrolled);
    expect(await dial(port, { username: nodeId, privateKey: renter.private }).outcome).toBe('ready');
    expect(await dial(port, { username: nodeId, privateKey: device.private }).outcome).toBe('ready');
    expect(seen.map(({ renter: who }) => who)).toEqual(['renter with ssh-ed25519', 'agent']);
  });

  test('does not come in by a key that is not registered, and that is counted once a connection', async () => {
    const { port, seen, failures } = await startWithRenters();
    const { client, outcome } = dial(port, { username: 'team', privateKey: stranger.private });
    expect(await outcome).toMatch(/authentication methods failed/);
    client.end();
    while (failures() === 0) await new Promise(resolve => setImmediate(resolve));
    expect([seen, failures()]).toEqual([[], 1]);
  });

  test('does not become a machine by a device key under a name that is no machine', async () => {
    const { port, seen } = await startWithRenters(async () => normalisePublicKey(device.public));
    const { outcome } = dial(port, { username: 'team', privateKey: device.private });
    expect(await outcome).toMatch(/authentication methods failed/);
    expect(seen).toEqual([]);
  });
});

describe('normalisePublicKey', () => {
  test('keeps type and key, and drops the comment', () => {
    expect(normalisePublicKey(`${device.public.trim()} somebody@somewhere`)).toBe(
      device.public.trim().split(' ').slice(0, 2).join(' '),
    );
  });

  test.each(['', 'ssh-ed25519 AAAA', 'ssh-rsa AAAAB3NzaC1yc2E=', 'nonsense'])('refuses %p', text => {
    expect(() => normalisePublicKey(text)).toThrow('ssh-ed25519');
  });

  test('refuses a private key, so that none is ever sent', () => {
    expect(() => normalisePublicKey(device.private)).toThrow('ssh-ed25519');
  });
});
