/** The programs of a bed: started so that the kernel ends them with the test process, their output kept in a file each. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { answers } from './health.js';

export const startDeadlineMs = 60_000;
const endWithParent = ['setpriv', '--pdeathsig', 'KILL', '--'];

export class Components {
  private readonly children = new Map<string, ChildProcess>();

  constructor(private readonly logDirectory: string) {}

  /** `prefix` enters the place where it is to run, if that is another. */
  start(name: string, command: string[], prefix: string[] = []): void {
    const inner = prefix.length > 0 ? [...prefix, ...endWithParent] : [];
    const [program = '', ...args] = [...endWithParent, ...inner, ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(this.logFile(name), { flags: 'a' });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    this.children.set(name, child);
  }

  async answering(name: string, url: string): Promise<void> {
    await this.until(name, () => answers(url));
  }

  /** Fails with the end of its log when it ends before that, or takes too long. */
  async until(name: string, look: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + startDeadlineMs;
    while (!(await look())) {
      const child = this.children.get(name);
      if (child?.exitCode !== null || Date.now() > deadline) {
        const log = await readFile(this.logFile(name), 'utf8').catch(() => '');
        throw new Error(`${name} did not start:\n${log.slice(-2000)}`);
      }
      await sleep(50);
    }
  }

  async kill(name: string): Promise<void> {
    const child = this.children.get(name);
    this.children.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }

  /** The last first. Nothing of them is kept: no reason to wait for a tidy end. */
  async killAll(): Promise<void> {
    for (const name of [...this.children.keys()].reverse()) await this.kill(name);
  }

  /** CPU that they have used, in seconds. */
  async cpuSeconds(): Promise<number> {
    const pids = [...this.children.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
    return (await Promise.all(pids.map(cpuSecondsOf))).reduce((sum, each) => sum + each, 0);
  }

  private logFile(name: string): string {
    return join(this.logDirectory, `${name}.log`);
  }
}

export async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** All at once, so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map(server => {
    const address = server.address();
    return typeof address === 'object' ? (address?.port ?? 0) : 0;
  });
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  return ports;
}
