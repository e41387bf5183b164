/** A machine that changes its agent: real packed releases, real signatures, the real starter and keeper. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { packAgent } from '../../../scripts/agent-release.mjs';
import { type Repacked, repackAgent, signWithOpenSsh } from '../../../scripts/repack-agent.mjs';
import { Site } from '../testing/site.js';
import { until } from '../testing/world.js';
import { nameOf } from './index.js';

jest.setTimeout(120_000);

let packed: string;
let archive: string;
const key = newSshKeyPair();
const nextKey = newSshKeyPair();
let one: Repacked;
let two: Repacked;
let three: Repacked;
let site: Site;

const keyFile = (name: string) => join(packed, name);
const variant = (version: string, serial: number, more: { begin?: string; floor?: number; keyFile?: string } = {}) =>
  repackAgent(archive, join(packed, `${version}-${serial}`), { version, serial, keyFile: keyFile('key'), ...more });

beforeAll(async () => {
  packed = mkdtempSync(join(tmpdir(), 'iocloud-packed-'));
  await packAgent(resolve(process.cwd()), packed);
  archive = join(packed, 'iocloud-agent-0.1.0.tgz');
  writeFileSync(keyFile('key'), key.private, { mode: 0o600 });
  writeFileSync(keyFile('next'), nextKey.private, { mode: 0o600 });
  [one, two, three] = [await variant('1.0.0', 10), await variant('1.1.0', 20), await variant('1.2.0', 30)];
});
afterAll(() => rmSync(packed, { recursive: true, force: true }));
beforeEach(async () => {
  site = new Site();
  await site.controlPlane.listen();
  site.controlPlane.desire([]);
  await site.install(one, key.public);
  site.keep();
  await site.runs(one);
});
afterEach(() => site.destroy(), 60_000);

describe('a release that may run', () => {
  test('takes the place of the one before, which is kept to go back to; older ones go', async () => {
    expect(await site.give(two)).toBe('');
    expect(await site.runs(two)).toMatchObject({ running: { version: '1.1.0', serial: 20 }, previous: { serial: 10 } });
    expect(await site.give(three)).toBe('');
    await site.runs(three);
    expect(site.releases).toEqual([nameOf(two), nameOf(three)].sort());
    // Back to what ran before, and forth again; but not to what ran before that.
    expect(await site.give(two)).toBe('');
    await site.runs(two);
    expect(await site.give(one)).toContain('1.0.0 (serial 10) is older than 30, and not what ran here before');
    expect(await site.give(three)).toBe('');
    await site.runs(three);
  });

  test('and forbids what lies below its floor has no way back', async () => {
    const firm = await variant('1.3.0', 40, { floor: 40 });
    expect(await site.give(firm)).toBe('');
    await site.runs(firm);
    expect(await site.give(one)).toContain('lies below 40, under which nothing runs here any more');
  });
});

describe('a release that does not prove itself', () => {
  test('by ending is gone back from after three starts, and the machine says why', async () => {
    const crashing = await variant('2.0.0', 50, { begin: 'process.exit(3);' });
    expect(await site.give(crashing)).toBe('');
    const said = await until('it to be back', () => site.report?.failed && site.report, 40_000);
    expect(said).toMatchObject({ running: { serial: 10 }, onTrial: false });
    expect(said.failed).toEqual({ attempt: 'attempt-1', reason: expect.stringContaining('it ended 3 times') });
    // It may be tried again, and what it left is gone with the next one.
    expect(await site.give(two)).toBe('');
    await site.runs(two);
    expect(site.releases).toEqual([nameOf(one), nameOf(two)].sort());
  });

  test('by hanging is ended by the watchdog, and gone back from', async () => {
    const hanging = await variant('2.1.0', 60, { begin: 'for (;;) {}' });
    expect(await site.give(hanging, { healthySeconds: 5 })).toBe('');
    const said = await until('it to be back', () => site.report?.failed && site.report, 40_000);
    expect(said).toMatchObject({ running: { serial: 10 }, failed: { reason: expect.stringContaining('within 5 s') } });
  });
});

describe('a release that may not run', () => {
  test('is refused in one line, and nothing changes', async () => {
    const state = site.state;
    const forged = await variant('3.0.0', 70, { keyFile: keyFile('next') });
    expect(await site.give(forged)).toBe('the release is not signed by the key that this machine trusts');
    const otherPurpose = await signWithOpenSsh(packed, keyFile('key'), 'file', two.manifest);
    expect(await site.give({ ...two, signature: otherPurpose })).toContain('is not signed by the key');
    expect(await site.give({ ...two, manifest: two.manifest.replace('1.1.0', '9.9.9') })).toContain('not signed');
    const swapped = Buffer.from(two.archive);
    swapped[1_000] = (swapped[1_000] ?? 0) ^ 1;
    expect(await site.give({ ...two, archive: swapped })).toContain('is not the one that its manifest names');
    const older = await variant('0.9.0', 5);
    expect(await site.give(older)).toContain('0.9.0 (serial 5) is older than 10');
    const twin = await variant('1.0.1', 10);
    expect(await site.give(twin)).toContain('serial 10 belongs to another archive');
    const selfish = await variant('3.1.0', 80, { floor: 90 });
    expect(await site.give(selfish)).toContain('forbids itself');
    expect(site.state).toEqual(state);
    expect(site.releases).toEqual([nameOf(one)]);
    expect(site.output).toContain('a release was refused');
  });

  test('is one of a key that has passed its office on', async () => {
    const statement = `${nextKey.public} next\n`;
    const rotation = {
      publicKey: statement,
      signature: await signWithOpenSsh(packed, keyFile('key'), 'iocloud-agent-key', statement),
    };
    const byNext = await variant('4.0.0', 90, { keyFile: keyFile('next') });
    const selfMade = {
      ...rotation,
      signature: await signWithOpenSsh(packed, keyFile('next'), 'iocloud-agent-key', statement),
    };
    expect(await site.give(byNext, { rotations: [selfMade] })).toContain('not signed by the key');
    expect(await site.give(byNext, { rotations: [rotation] })).toBe('');
    await site.runs(byNext);
    expect(await site.give(await variant('4.1.0', 100))).toContain('not signed by the key');
  });
});

describe('kill -9', () => {
  /** The moment at which the state file says so. */
  const moment = async (what: string, look: () => boolean) => {
    for (const deadline = performance.now() + 20_000; !look(); ) {
      if (performance.now() > deadline) throw new Error(`in vain for ${what}`);
      await new Promise(resolve => setImmediate(resolve));
    }
  };
  const kill = () => process.kill(site.agentPid, 'SIGKILL');

  test('while the archive comes leaves what ran, and no trace of the other', async () => {
    const { stream } = await site.offer(two);
    stream?.write(two.archive.subarray(0, two.archive.length / 2));
    await until('half of it to be there', () => site.releases.some(name => name.startsWith('.new-')));
    site.controlPlane.heard.length = 0;
    kill();
    await site.runs(one);
    expect(site.releases).toEqual([nameOf(one)]);
    expect(await site.give(two)).toBe('');
    await site.runs(two);
  });

  test('once the switch is on record, before the old agent has made way, brings the new one', async () => {
    const given = site.give(two).catch(() => 'the connection broke');
    await moment('the trial', () => site.state.trial !== null);
    kill();
    await given;
    expect(await site.runs(two)).toMatchObject({ previous: { serial: 10 } });
  });

  test('of the new agent on trial costs it a start, not its place', async () => {
    expect(await site.give(two)).toBe('');
    await moment('its first start', () => site.state.trial?.starts === 1);
    const old = site.agentPid;
    kill();
    await site.runs(two);
    expect(site.agentPid).not.toBe(old);
  });

  test('of what keeps the agent ends it too, and the next start goes on where it was', async () => {
    expect(await site.give(two)).toBe('');
    await moment('its first start', () => (site.state.trial?.starts ?? 0) > 0);
    await site.killAgent('SIGKILL');
    site.controlPlane.heard.length = 0;
    site.keep();
    await site.runs(two);
    expect(site.state).toMatchObject({ current: { serial: 20 }, trial: null });
  });

  test('at any moment leaves a machine that runs one of the two, whole', async () => {
    const seconds = [0, 0.05, 0.15, 0.3, 0.5, 0.8];
    let [now, other] = [one, two];
    for (const after of seconds) {
      expect(await site.give(other)).toBe('');
      await new Promise(resolve => setTimeout(resolve, 1_000 * after));
      site.controlPlane.heard.length = 0;
      try {
        kill();
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // between two starts there is none
      }
      await until('it to have settled', () => site.report?.onTrial === false && site.state.trial === null, 40_000);
      const { sha256 } = site.state.current;
      expect([one.sha256, two.sha256]).toContain(sha256);
      if (sha256 === other.sha256) [now, other] = [other, now];
      await site.runs(now);
    }
  });
});
