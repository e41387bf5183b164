/** An installation for tests: releases, starter and keeper as the join lays them down, against a small control plane. */
import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { type AgentMessage, type ReleaseOffer, type ReleaseReport, releaseVerdict } from '@iocloud/contracts';
import { firstLine } from '@iocloud/contracts/wire';
import type { Repacked } from '../../../scripts/repack-agent.mjs';
import { keeperScript, nameOf, readState, stateFile, writeState } from '../releases/index.js';
import { rayEnvironment, rayVersion, until, World } from './world.js';

const run = promisify(execFile);

export class Site extends World {
  readonly home = join(this.directory, 'installed');
  #attempts = 0;

  /** Without a machine in between: what a join leaves. */
  async install(release: Repacked, key: string): Promise<void> {
    const directory = join(this.home, 'releases', nameOf(release));
    mkdirSync(directory, { recursive: true });
    const archive = join(release.directory, `iocloud-agent-${release.version}.tgz`);
    await run('tar', ['-xzf', archive, '-C', directory, '--strip-components', '1']);
    copyFileSync(join(directory, 'agent', 'program', 'start.mjs'), join(this.home, 'start.mjs'));
    writeFileSync(join(this.home, 'keep.sh'), keeperScript);
    const { version, serial, sha256 } = release;
    const current = { name: nameOf(release), version, serial, floor: 0, sha256 };
    const nothing = { previous: null, trial: null, failed: null };
    writeState(this.home, { key, highestSerial: serial, floor: 0, current, ...nothing });
    const config = this.config({ rayEnvironments: { [rayVersion]: rayEnvironment() } });
    writeFileSync(join(this.home, 'agent.json'), JSON.stringify(config));
  }

  /** As a join without a service manager does. */
  keep(): void {
    const words = [join(this.home, 'keep.sh'), stateFile(this.home), process.execPath, join(this.home, 'start.mjs')];
    const keeper = spawn('/bin/sh', [...words, '--config', join(this.home, 'agent.json'), '--keep-leases'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [keeper.stdout, keeper.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.agent = keeper;
  }

  get state() {
    return readState(this.home);
  }

  get releases(): string[] {
    return readdirSync(join(this.home, 'releases')).sort();
  }

  /** Of the agent that runs, or ran last. */
  get agentPid(): number {
    return (JSON.parse(readFileSync(join(this.home, 'agent.pid'), 'utf8')) as { pid: number }).pid;
  }

  /** What the agent has last said of its release. */
  get report(): ReleaseReport | undefined {
    const says = (message: AgentMessage) => 'release' in message && message.release !== undefined;
    const last = this.controlPlane.heard.filter(says).at(-1);
    return last && 'release' in last ? last.release : undefined;
  }

  /** An agent of this release has proven itself and says so. */
  async runs({ sha256 }: Repacked, timeoutMs = 30_000): Promise<ReleaseReport> {
    const proven = () => {
      const { report } = this;
      return this.controlPlane.connected && report?.onTrial === false && report.running.sha256 === sha256
        ? report
        : null;
    };
    return until(`an agent of ${sha256.slice(0, 8)} that has proven itself`, proven, timeoutMs).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it says ${JSON.stringify(this.report)}; ${this.output.slice(-2_000)}`);
      },
    );
  }

  async offer(
    release: Repacked,
    more: Partial<ReleaseOffer> = {},
  ): Promise<{ stream: Duplex | null; refusal: string }> {
    this.#attempts += 1;
    const { stream, answer } = await this.controlPlane.open({
      kind: 'release',
      attempt: `attempt-${this.#attempts}`,
      manifest: release.manifest,
      signature: release.signature,
      rotations: [],
      bytes: release.archive.length,
      healthySeconds: 20,
      fenceAfterMs: 60_000,
      ...more,
    });
    return answer.ok ? { stream, refusal: '' } : { stream: null, refusal: answer.message };
  }

  /** Offers it and sends it; returns why it is not taken, or an empty text where the machine switches. */
  async give(release: Repacked, more: Partial<ReleaseOffer> = {}): Promise<string> {
    const { stream, refusal } = await this.offer(release, more);
    if (!stream) return refusal;
    stream.write(release.archive);
    return releaseVerdict.parse(JSON.parse(await firstLine(stream, 4_096, 20_000))).reason;
  }
}
