/**
 * Agents that say anything at all. Structure-aware: true messages with parts of them replaced, left out or nested, about
 * the machines and leases of others too; besides, bytes that are no SSH. The seed of a failure is printed by fast-check.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { agentProtocolVersion, agentSubsystem, type LeaseId, type NodeId } from '@iocloud/contracts';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import ssh2 from 'ssh2';
import { Trial } from '../clusters/testing/index.js';
import { Inventory } from './index.js';
import { touch } from './presence.js';

jest.setTimeout(180_000);

const attackerKey = newSshKeyPair();
let trial: Trial;
let inventory: Inventory;
let port: number;
let victim: NodeId;
let attacker: NodeId;
let leaseId: LeaseId;
let beat: NodeJS.Timeout;
let before: unknown;

beforeAll(async () => {
  trial = await Trial.start();
  const owner = await trial.tenant();
  const machine = await trial.machine(owner.tenantId);
  victim = machine.nodeId;
  const clusterId = await trial.create(owner.tenantId, { name: 'theirs', head: { cpus: 2 } });
  await machine.obey();
  leaseId = (await trial.show(clusterId)).leases[0]?.id as LeaseId;
  attacker = (await trial.machine((await trial.tenant()).tenantId)).nodeId;
  const publicKey = attackerKey.public.split(' ').slice(0, 2).join(' ');
  await trial.database.query('UPDATE nodes SET public_key = $2 WHERE id = $1', [attacker, publicKey]);
  inventory = new Inventory({
    database: trial.database,
    leaseBook: trial.domain.leaseBook,
    mesh: trial.mesh,
    log: trial.ground.log.child({}, { level: 'silent' }),
    ssh: { host: '127.0.0.1', port: 0, hostKey: Buffer.from(newSshKeyPair('host').private) },
    nodeLostSeconds: 60,
    telemetryHours: 6,
  });
  port = await inventory.listen();
  beat = setInterval(() => void touch(trial.database, victim), 500);
  before = await stateOfVictim();
});
afterAll(async () => {
  clearInterval(beat);
  await inventory?.stop();
  await trial?.stop();
});

/** All that is on record of the victim but the time of its last heartbeat. */
async function stateOfVictim(): Promise<unknown> {
  const all = async (text: string) => (await trial.database.query(text, [victim])).rows;
  return {
    node: await all(`SELECT to_jsonb(n) - 'last_heartbeat_at' AS row FROM nodes n WHERE id = $1`),
    leases: await all('SELECT to_jsonb(l) AS row FROM leases l WHERE node_id = $1 ORDER BY id'),
    clusters: await all(
      `SELECT to_jsonb(c) AS row FROM clusters c WHERE id IN (SELECT cluster_id FROM leases WHERE node_id = $1)`,
    ),
    events: await all('SELECT reason FROM events WHERE subject = $1'),
    telemetry: await all('SELECT 1 FROM node_telemetry WHERE node_id = $1'),
  };
}

interface Dialled {
  control: Duplex;
  closed: Promise<unknown>;
  end(): void;
}

async function dial(): Promise<Dialled> {
  const client = new ssh2.Client();
  client.on('error', () => undefined);
  const closed = once(client, 'close').catch(() => undefined);
  client.connect({ host: '127.0.0.1', port, username: attacker, privateKey: attackerKey.private, strictVendor: false });
  await once(client, 'ready');
  const control = await new Promise<Duplex>((resolve, reject) =>
    client.subsys(agentSubsystem, (error, channel) => (error ? reject(error) : resolve(channel))),
  );
  control.on('error', () => undefined);
  control.resume();
  return { control, closed, end: () => void client.end() };
}

const hello = () => ({
  type: 'hello',
  protocol: agentProtocolVersion,
  agentVersion: '0',
  nodeId: attacker,
  inventory: {
    hostname: 'h',
    os: 'o',
    arch: 'a',
    cpuModel: 'c',
    cpus: 4,
    memoryBytes: 2 ** 33,
    diskFreeBytes: 2 ** 33,
    devices: [{ index: 0, uuid: 'u', vendor: 'nvidia', model: 'm', memoryBytes: 1, simulated: false }],
    rayVersions: ['2.60.0'],
    pythonVersion: '3.11.2',
    isolation: 'namespace',
    isolationReason: '',
  },
});
const running = { version: '1.0.0', serial: 1, sha256: 'x' };
const honest = () => [
  hello(),
  { type: 'release', release: { running, onTrial: false, previous: null, failed: { attempt: 'a', reason: 'r' } } },
  { type: 'heartbeat', beat: 1, diskFreeBytes: 1, memoryAvailableBytes: 1, load1: 0.5 },
  { type: 'observed', revision: 0, leases: [{ leaseId, phase: 'exited', message: 'gone', rayNodeId: null }] },
  {
    type: 'telemetry',
    run: randomUUID(),
    samples: [
      {
        sequence: 1,
        ageMs: 0,
        machine: {
          cpuUsage: 0.5,
          load1: 1,
          memoryAvailableBytes: 1,
          diskFreeBytes: 1,
          diskTotalBytes: 1,
          receivedBytes: 1,
          sentBytes: 1,
          agentCpuSeconds: 1,
          agentMemoryBytes: 1,
        },
        devices: [],
      },
    ],
  },
];

/** What breaks programs: the ends of numbers, text that PostgreSQL has no place for, names of the language's own. */
const awkward = fc.oneof(
  fc.constantFrom<unknown>(null, -1, 0, 1e308, 2 ** 53, -0, 0.1, '', '\u0000', '\ud800', '__proto__', [], {}, true),
  fc.constantFrom('victim', 'lease').map(which => ({ which })),
  fc.string({ maxLength: 20 }),
  fc.integer({ min: 1, max: 3 }).map(power => 'x'.repeat(10 ** (power + 1))),
  fc.integer({ min: 1, max: 400 }).map(depth => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)),
  fc.jsonValue({ maxDepth: 3 }),
);
const change = fc.record({
  at: fc.nat({ max: 60 }),
  kind: fc.constantFrom('replace', 'remove', 'add'),
  value: awkward,
});
const example = fc.record({
  greets: fc.boolean(),
  messages: fc.array(fc.record({ which: fc.nat({ max: 3 }), changes: fc.array(change, { maxLength: 3 }) }), {
    minLength: 1,
    maxLength: 5,
  }),
  tail: fc.oneof(
    fc.constant(''),
    fc.constantFrom('{', '\n\n', 'null\n', '[]\n', '"\\ud800"\n'),
    fc.string({ maxLength: 40 }),
  ),
});

type Json = unknown;
const placed = (value: unknown): Json => {
  const { which } = (value ?? {}) as { which?: string };
  return which === 'victim' ? victim : which === 'lease' ? leaseId : value;
};

/** The `at`-th place of the value, counted as they come. */
function changed(root: Json, { at, kind, value }: { at: number; kind: string; value: unknown }): void {
  const places: [Record<string, Json>, string][] = [];
  const visit = (node: Json) => {
    if (node === null || typeof node !== 'object') return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, Json>, key]);
      visit((node as Record<string, Json>)[key]);
    }
  };
  visit(root);
  const [parent, key] = places[at % places.length] ?? [];
  if (!parent || key === undefined) return;
  if (kind === 'remove') delete parent[key];
  else if (kind === 'add') parent[`${key}x`] = placed(value);
  else parent[key] = placed(value);
}

test('whatever a machine says, the others stay as they are and are served', async () => {
  await fc.assert(
    fc.asyncProperty(example, async ({ greets, messages, tail }) => {
      const { control, closed, end } = await dial();
      if (greets) control.write(`${JSON.stringify(hello())}\n`);
      for (const { which, changes } of messages) {
        const message = honest()[which] as Json;
        for (const one of changes) changed(message, one);
        control.write(`${JSON.stringify(message)}\n`);
      }
      control.end(tail);
      end();
      await closed;
    }),
    { numRuns: 100 },
  );
  // Each is served as if none of it had been: an honest hello comes through.
  const { control, end } = await dial();
  const answer = once(control, 'data');
  control.write(`${JSON.stringify(hello())}\n`);
  expect(String((await answer)[0])).toContain('"type":"heard"');
  end();
  expect(await stateOfVictim()).toEqual(before);
});

test('what an honest machine says of its free disk is on record, once it has changed by much', async () => {
  const { control, closed, end } = await dial();
  const beat = (number: number, diskFreeBytes: number) =>
    `${JSON.stringify({ type: 'heartbeat', beat: number, diskFreeBytes, memoryAvailableBytes: 1, load1: 0 })}\n`;
  const recorded = async () => {
    const { rows } = await trial.database.query(
      `SELECT (inventory->>'diskFreeBytes')::bigint AS bytes FROM nodes WHERE id = $1`,
      [attacker],
    );
    return rows[0]?.bytes as number;
  };
  const become = async (bytes: number) => {
    for (const deadline = Date.now() + 20_000; (await recorded()) !== bytes; ) {
      if (Date.now() > deadline) throw new Error(`the free disk on record is ${await recorded()}, not ${bytes}`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  };
  control.write(`${JSON.stringify(hello())}\n`);
  await become(2 ** 33);
  // The one between changes little: had it been written, the last one would change little, too.
  control.write(beat(1, 2 ** 33 - 40 * 2 ** 20) + beat(2, 2 ** 33 - 80 * 2 ** 20));
  await become(2 ** 33 - 80 * 2 ** 20);
  end();
  await closed;
});

test('bytes that are no SSH, or half of it, stop nobody', async () => {
  const start = fc.constantFrom('', 'SSH-2.0-x\r\n', 'SSH-2.0-OpenSSH_9.2\r\n', 'GET / HTTP/1.1\r\n\r\n');
  await fc.assert(
    fc.asyncProperty(start, fc.uint8Array({ maxLength: 4_000 }), async (greeting, bytes) => {
      const socket: Socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => undefined);
      const closed = once(socket, 'close');
      socket.resume();
      socket.write(greeting);
      socket.end(Buffer.from(bytes));
      await closed;
    }),
    { numRuns: 100 },
  );
  const { end, closed } = await dial();
  end();
  await closed;
  expect(await stateOfVictim()).toEqual(before);
});
