/** Releases of the agent reach machines that have joined: really packed, signed by OpenSSH, with Ray nodes that run on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Repacked, repackAgent } from '../../scripts/repack-agent.mjs';
import { Joined, Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let work: string;
let packed: string;
let serial: number;
let north: Joined;
let south: Joined;
/** The Ray processes of north's cluster: nothing that befalls its agent may touch them. */
let ray: number[];

beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '2' } });
  work = mkdtempSync(join(tmpdir(), 'iocloud-releases-'));
  const given = join(stack.home, 'agent-release');
  const manifest = JSON.parse(readFileSync(join(given, 'manifest.json'), 'utf8'));
  packed = join(given, manifest.file);
  serial = manifest.serial;
  const joins = (name: string) => Joined.join(stack, name, '--cpus', '2');
  [north, south] = await Promise.all([joins('north'), joins('south')]);
  await stack.cluster('busy', { requirements: { regions: ['north'] } });
  ray = pids();
  expect(ray.length).toBeGreaterThan(1);
}, 180_000);
afterAll(async () => {
  await Promise.all([north?.leave(), south?.leave()]);
  await stack?.stop();
  if (work) rmSync(work, { recursive: true, force: true });
}, 120_000);

const pids = () =>
  north
    .ray()
    .map(({ pid }) => pid)
    .sort((a, b) => a - b);
const keyFile = () => join(stack.home, 'secrets', 'agent_release_ed25519_key');
const release = (version: string, higher: number, more: { begin?: string; keyFile?: string } = {}): Promise<Repacked> =>
  repackAgent(packed, join(work, version), { version, serial: serial + higher, keyFile: keyFile(), ...more });

const operator = (...args: string[]) => stack.said('agent-release', ...args);
const status = async () => JSON.parse(await operator('status', '--json'));
const versions = async () => [(await north.node()).agent.version, (await south.node()).agent.version];

/** Of the roll-out in force. */
const settled = (
  what: string,
  is: (rollout: { phase: string; healthy: number; waiting: number; trying: number }) => boolean,
) =>
  until(what, 90_000, async () => {
    const both = await status();
    return is(both.rollout) ? both : null;
  }).catch(async (error: Error) => {
    throw new Error(
      `${error.message}\n${JSON.stringify(await status())}\n${north.said.slice(-3_000)}\n${south.said.slice(-3_000)}`,
    );
  });

test('a machine that joins has a signed release, and trusts its key alone', async () => {
  expect(await versions()).toEqual(['0.1.0', '0.1.0']);
  expect(await operator('list')).toMatch(new RegExp(`0\\.1\\.0 +${serial} +2 `));
  const stranger = newSshKeyPair();
  writeFileSync(join(work, 'stranger'), stranger.private, { mode: 0o600 });
  const forged = await release('6.6.6', 1, { keyFile: join(work, 'stranger') });
  const refused = await stack.iocloud('agent-release', 'publish', forged.directory);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining('not signed by the release key in force'),
  ]);
  writeFileSync(join(forged.directory, 'iocloud-agent-6.6.6.tgz'), Buffer.concat([forged.archive, Buffer.from('x')]));
  const { manifest } = await release('0.2.0', 100);
  writeFileSync(join(work, '0.2.0', 'iocloud-agent-0.2.0.tgz'), 'something else');
  const other = await stack.iocloud('agent-release', 'publish', join(work, '0.2.0'));
  expect(other.stderr).toContain('the archive is not the one that the manifest names');
  expect(manifest).toContain('0.2.0');
});

test('a good release reaches all machines, one after the other, and their Ray nodes run on, though one is killed in the middle', async () => {
  const good = await release('0.2.0', 100);
  await operator('publish', good.directory);
  await operator('roll-out', '--version', '0.2.0', '--healthy-within', '60s');
  const killed = until(
    'north to try it',
    60_000,
    () => north.trialStarts === 1 && process.kill(north.agentPid, 'SIGKILL'),
    5,
  );
  const { rollout, nodes } = await settled('both to be upgraded', ({ healthy }) => healthy === 2);
  expect(await killed).toBe(true);
  expect(rollout).toMatchObject({ phase: 'running', waiting: 0, trying: 0, failed: 0 });
  expect(await versions()).toEqual(['0.2.0', '0.2.0']);
  const [first, second] = nodes.map(({ changedAt }: { changedAt: string }) => Date.parse(changedAt)).sort();
  expect(second - first).toBeGreaterThan(1_000);
  expect(pids()).toEqual(ray);
  expect([north.releases.length, south.releases.length]).toEqual([2, 2]);
});

test('it is taken back in one command', async () => {
  await operator('roll-back');
  const { rollout } = await settled('both to be back', ({ healthy }) => healthy === 2);
  expect(rollout).toMatchObject({ version: '0.1.0', rollsBack: expect.stringMatching(/^ro_/) });
  expect(await versions()).toEqual(['0.1.0', '0.1.0']);
  expect(pids()).toEqual(ray);
});

test('a release whose canary crashes goes no further: the machine goes back by itself, the roll-out stops', async () => {
  const held = await stack.iocloud('node', 'hold', 'south', '--reason', 'a long run');
  expect([held.code, held.stderr]).toEqual([0, '']);
  const crashing = await release('0.3.0', 200, { begin: 'process.exit(3);' });
  await operator('publish', crashing.directory);
  await operator('roll-out', '--version', '0.3.0', '--healthy-within', '60s');
  const { rollout, nodes } = await settled('it to stop', ({ phase }) => phase === 'halted');
  expect(rollout).toMatchObject({
    failed: 1,
    healthy: 0,
    held: 1,
    reason: expect.stringContaining('1 of 1 machines failed'),
  });
  expect(nodes).toMatchObject([
    { name: 'north', state: 'failed', reason: expect.stringContaining('it ended 3 times') },
  ]);
  expect(await versions()).toEqual(['0.1.0', '0.1.0']);
  expect(pids()).toEqual(ray);
  const shown = await stack.iocloud('node', 'show', 'north');
  expect(shown.stdout).toContain('the last upgrade failed: it ended 3 times');
  expect((await stack.iocloud('node', 'unhold', 'south')).code).toBe(0);
});

test('an older release, signed as it once was, is refused by the machine, and that is on record', async () => {
  const older = await release('0.0.9', -100);
  await operator('publish', older.directory);
  await operator('roll-out', '--version', '0.0.9');
  const { nodes } = await settled('it to stop', ({ phase }) => phase === 'halted');
  expect(nodes).toMatchObject([
    { state: 'failed', reason: expect.stringMatching(/^it refused the release: 0\.0\.9 .* is older than/) },
  ]);
  const { body } = await stack.call('GET', `/v1/events?limit=1000&subject=${nodes[0].nodeId}`);
  expect(body.items.at(-1)).toMatchObject({ reason: 'AgentUpgradeFailed', severity: 'warning' });
  expect(await versions()).toEqual(['0.1.0', '0.1.0']);
  expect(pids()).toEqual(ray);
});
