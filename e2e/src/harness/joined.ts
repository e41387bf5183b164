/** A machine that has joined by the one line: real script, real archive, kept running as a supplier without systemd has it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Process, processesNaming, until } from './processes.js';
import type { Stack } from './stack.js';

/** What a supplier types, in a process group of its own. */
export function installLine(
  stack: Stack,
  directory: string,
  options: string[],
  say: (text: string) => void,
): ChildProcess {
  const words = ['--foreground', '--dir', directory, '--ray-environment', stack.env.IOCLOUD_VENV ?? '', ...options];
  const line = `curl -fsSL ${stack.address}/install.sh | exec sh -s -- ${words.map(word => `'${word}'`).join(' ')}`;
  const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => say(chunk.toString()));
  return child;
}

/** As Ctrl-C does it: all of the line's processes are told. */
export async function interrupt(line: ChildProcess | undefined): Promise<void> {
  if (line?.pid === undefined || line.exitCode !== null || line.signalCode !== null) return;
  const gone = once(line, 'exit');
  process.kill(-line.pid, 'SIGINT');
  await gone;
}

export class Joined {
  // Not below /tmp: a Ray node has one of its own.
  readonly directory = mkdtempSync('/var/tmp/iocloud-joined-');
  said = '';
  id = '';
  #line: ChildProcess | undefined;

  constructor(
    readonly stack: Stack,
    readonly name: string,
  ) {}

  /** Resolves when it is connected and has the region of its name. */
  static async join(stack: Stack, name: string, ...options: string[]): Promise<Joined> {
    const joined = new Joined(stack, name);
    joined.#line = installLine(stack, joined.directory, options, text => {
      joined.said += text;
    });
    const [, code = ''] = await joined.#heard(/iocloud node approve ([A-Z]{4}-[A-Z]{4})/);
    const approved = await stack.iocloud('node', 'approve', code, '--name', name, '--yes');
    if (approved.code !== 0) throw new Error(approved.stderr);
    await joined.#heard(/ is connected/);
    const { body } = await stack.call('GET', '/v1/nodes');
    joined.id = body.items.find((node: { name: string }) => node.name === name).id;
    await stack.call('PATCH', `/v1/nodes/${joined.id}/terms`, { region: name });
    return joined;
  }

  #heard(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`${this.name} to say ${pattern}`, 60_000, () => pattern.exec(this.said)).catch((error: Error) => {
      throw new Error(`${error.message}; it said:\n${this.said}`);
    });
  }

  // biome-ignore lint/suspicious/noExplicitAny: the API's own shape
  async node(): Promise<any> {
    return (await this.stack.call('GET', `/v1/nodes/${this.id}`)).body;
  }

  /** Starts of the release that is on trial, or 0. */
  get trialStarts(): number {
    return JSON.parse(readFileSync(join(this.directory, 'release.json'), 'utf8')).trial?.starts ?? 0;
  }

  get agentPid(): number {
    return JSON.parse(readFileSync(join(this.directory, 'agent.pid'), 'utf8')).pid;
  }

  get releases(): string[] {
    return readdirSync(join(this.directory, 'releases')).sort();
  }

  /** Ray's own processes of all its leases. */
  ray(): Process[] {
    return processesNaming(this.directory).filter(({ command }) => /raylet|gcs_server|ray::/.test(command));
  }

  /** Ctrl-C, as all of the line's processes are told. */
  async leave(): Promise<void> {
    await interrupt(this.#line);
    await until('nothing of the machine runs', 30_000, () => processesNaming(this.directory).length === 0);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
