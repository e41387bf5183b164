/** A machine that changes its agent: real packed releases, real signatures, the real starter and keeper. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { packAgent } from '../../../scripts/agent-release.mjs';
import { type Repacked, repackAgent, signWithOpenSsh } from '../../../scripts/repack-agent.mjs';
import { Site } from '../testing/site.js';
import { until } from '../testing/world.js';
import { nameOf } from './index.js';

jest.setTimeout(120_000);

let packed: string;
let archive: string;
let site: Site;
/** What the machine runs; each test goes on where the one before has left it. */
let now: Repacked;
let before: Repacked;
let serial = 10;
const key = newSshKeyPair();
const nextKey = newSshKeyPair();
const keyFile = (name: string) => join(packed, name);

type More = { begin?: string; floor?: number; keyFile?: string };
/** A release with a serial of its own. */
const release = (own: number, more: More = {}) => {
  const version = `1.0.${own}`;
  return repackAgent(archive, join(packed, version), { version, serial: own, keyFile: keyFile('key'), ...more });
};
/** With the next higher serial. */
const newer = (more: More = {}) => {
  serial += 10;
  return release(serial, more);
};
/** It has been given, and comes up. */
async function comesUp(given: Repacked): Promise<void> {
  await site.runs(given);
  [before, now] = [now, given];
}
async function upgrade(to: Repacked): Promise<void> {
  expect(await site.give(to)).toBe('');
  await comesUp(to);
}

/** They go after the new one has said that it runs. */
async function onlyTheseAreThere(...kept: Repacked[]): Promise<void> {
  const names = kept.map(nameOf).sort();
  await until('older releases to be gone', () => site.releases.join() === names.join(), 20_000);
}

beforeAll(async () => {
  packed = mkdtempSync(join(tmpdir(), 'iocloud-packed-'));
  await packAgent(resolve(process.cwd()), packed);
  archive = join(packed, 'iocloud-agent-0.1.0.tgz');
  writeFileSync(keyFile('key'), key.private, { mode: 0o600 });
  writeFileSync(keyFile('next'), nextKey.private, { mode: 0o600 });
  now = await newer();
  site = new Site();
  await site.controlPlane.listen();
  site.controlPlane.desire([]);
  await site.install(now, key.public);
  site.keep();
  await site.runs(now);
});
afterAll(async () => {
  await site?.destroy();
  rmSync(packed, { recursive: true, force: true });
});
beforeEach(() => {
  site.controlPlane.heard.splice(0, site.controlPlane.heard.length - 20);
});

describe('a release that may run', () => {
  test('takes the place of the one before, which is kept to go back to; older ones go', async () => {
    const first = now;
    await upgrade(await newer());
    expect(site.report).toMatchObject({ running: { serial: now.serial }, previous: { serial: first.serial } });
    await upgrade(await newer());
    await onlyTheseAreThere(before, now);
    // Back to what ran before; but not to what ran before that.
    await upgrade(before);
    expect(await site.give(first)).toContain(
      `(serial ${first.serial}) is older than ${before.serial}, and not what ran`,
    );
  });

  test('and forbids what lies below its floor has no way back', async () => {
    await upgrade(await newer({ floor: serial }));
    expect(await site.give(before)).toContain(`lies below ${now.serial - 10}, under which nothing runs here any more`);
  });
});

describe('a release that does not prove itself', () => {
  const goneBack = async (reason: string) => {
    const said = await until(
      'it to be back',
      () => site.report?.failed?.reason.includes(reason) && site.report,
      60_000,
    );
    expect(said).toMatchObject({ running: { serial: now.serial }, onTrial: false });
  };

  test('by ending is gone back from after three starts, and the machine says why', async () => {
    const crashing = await newer({ begin: 'process.exit(3);' });
    expect(await site.give(crashing, { attempt: 'the crashing one' })).toBe('');
    await goneBack('it ended 3 times');
    expect(site.report?.failed?.attempt).toBe('the crashing one');
  });

  test('by hanging is ended by the watchdog, and gone back from; the next one may come', async () => {
    const hanging = await newer({ begin: 'for (;;) {}' });
    expect(await site.give(hanging, { healthySeconds: 5 })).toBe('');
    await goneBack('within 5 s');
    await upgrade(await newer());
    await onlyTheseAreThere(before, now);
  });
});

describe('a release that may not run', () => {
  test('is refused in one line, and nothing changes', async () => {
    const state = site.state;
    const good = await newer();
    const forged = await newer({ keyFile: keyFile('next') });
    expect(await site.give(forged)).toBe('the release is not signed by the key that this machine trusts');
    const otherPurpose = await signWithOpenSsh(packed, keyFile('key'), 'file', good.manifest);
    expect(await site.give({ ...good, signature: otherPurpose })).toContain('is not signed by the key');
    expect(await site.give({ ...good, manifest: good.manifest.replace('1.0.', '9.0.') })).toContain('not signed');
    const swapped = Buffer.from(good.archive);
    swapped[1_000] = (swapped[1_000] ?? 0) ^ 1;
    expect(await site.give({ ...good, archive: swapped })).toContain('is not the one that its manifest names');
    expect(await site.give(await release(now.serial - 1))).toContain(`is older than ${now.serial}`);
    expect(await site.give(await newer({ floor: 1_000 }))).toContain('forbids itself');
    const twin = await repackAgent(archive, join(packed, 'twin'), {
      version: '1.1.0',
      serial: now.serial,
      keyFile: keyFile('key'),
    });
    expect(await site.give(twin)).toContain('belongs to another archive, which has run here');
    expect(site.state).toEqual(state);
    await onlyTheseAreThere(before, now);
    expect(site.output).toContain('a release was refused');
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
  /** What was said by the agents before counts no more. */
  const forget = () => {
    site.controlPlane.heard.length = 0;
  };

  test('while the archive comes leaves what ran, and no trace of the other', async () => {
    const coming = await newer();
    const { stream } = await site.offer(coming);
    stream?.write(coming.archive.subarray(0, coming.archive.length / 2));
    await until('half of it to be there', () => site.releases.some(name => name.startsWith('.new-')));
    forget();
    kill();
    await site.runs(now);
    await onlyTheseAreThere(before, now);
  });

  test('once the switch is on record, before the old agent has made way, brings the new one', async () => {
    const coming = await newer();
    const given = site.give(coming).catch(() => 'the connection broke');
    await moment('the trial', () => site.state.trial !== null);
    kill();
    await given;
    await comesUp(coming);
  });

  test('of the new agent on trial costs it a start, not its place', async () => {
    const coming = await newer();
    expect(await site.give(coming)).toBe('');
    await moment('its first start', () => site.state.trial?.starts === 1);
    const first = site.agentPid;
    kill();
    await comesUp(coming);
    expect(site.agentPid).not.toBe(first);
  });

  test('of what keeps the agent ends it too, and the next start goes on where it was', async () => {
    const coming = await newer();
    expect(await site.give(coming)).toBe('');
    await moment('its first start', () => (site.state.trial?.starts ?? 0) > 0);
    const old = site.agentPid;
    await site.killAgent('SIGKILL');
    site.keep();
    await until('another agent to hold the place', () => site.agentPid !== old);
    forget();
    await comesUp(coming);
    expect(site.state).toMatchObject({ current: { serial: coming.serial }, trial: null });
  });

  test.each([0.05, 0.3, 0.8])('%d s after the machine agreed leaves it with one of the two, whole', async seconds => {
    const coming = await newer();
    expect(await site.give(coming)).toBe('');
    await new Promise(resolve => setTimeout(resolve, 1_000 * seconds));
    forget();
    try {
      kill();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // between two starts there is none
    }
    await until('it to have settled', () => site.report?.onTrial === false && site.state.trial === null, 60_000);
    expect([now.sha256, coming.sha256]).toContain(site.state.current.sha256);
    if (site.state.current.sha256 === coming.sha256) await comesUp(coming);
    else await site.runs(now);
  });
});

test('a key that has passed its office on counts for nothing any more', async () => {
  const statement = `${nextKey.public} next\n`;
  const signedBy = async (name: string) => ({
    publicKey: statement,
    signature: await signWithOpenSsh(packed, keyFile(name), 'iocloud-agent-key', statement),
  });
  const byNext = await newer({ keyFile: keyFile('next') });
  expect(await site.give(byNext, { rotations: [await signedBy('next')] })).toContain('not signed by the key');
  expect(await site.give(byNext, { rotations: [await signedBy('key')] })).toBe('');
  await comesUp(byNext);
  expect(await site.give(await newer())).toContain('not signed by the key');
});
