/** The peer of every comparison: a bare `ray start --head` of the same release, as a user without us would run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesNaming, until } from '../src/harness/index.js';

export const freePort = () =>
  new Promise<number>(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

export class BareHead {
  /** Milliseconds from `ray start` to the first answer of its dashboard. */
  startMs = 0;

  private constructor(
    readonly address: string,
    readonly directory: string,
    readonly child: ChildProcess,
  ) {}

  static async start(venv: string, cpus: number): Promise<BareHead> {
    // Short: Ray puts UNIX sockets below it, whose paths may have 107 bytes.
    const directory = mkdtempSync(join(tmpdir(), 'bh-'));
    const [port, dashboard, agent, client] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const started = performance.now();
    const child = spawn(
      join(venv, 'bin', 'ray'),
      [
        ...['start', '--head', '--block', `--temp-dir=${directory}`, `--num-cpus=${cpus}`, '--disable-usage-stats'],
        ...[`--port=${port}`, `--dashboard-port=${dashboard}`, `--dashboard-agent-listen-port=${agent}`],
        `--ray-client-server-port=${client}`,
      ],
      {
        detached: true,
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          PYTHONDONTWRITEBYTECODE: '',
          PATH: `${join(venv, 'bin')}:${process.env.PATH}`,
          RAY_AUTH_MODE: 'disabled',
          BARE_HEAD: directory,
        },
      },
    );
    const head = new BareHead(`http://127.0.0.1:${dashboard}`, directory, child);
    await until(
      'the bare head answers',
      60_000,
      async () => {
        if (child.exitCode !== null) throw new Error(`ray start ended with ${child.exitCode}`);
        return (await fetch(`${head.address}/api/version`)).status === 200;
      },
      20,
    );
    head.startMs = performance.now() - started;
    return head;
  }

  async stop(): Promise<void> {
    if (this.child.pid) process.kill(this.child.pid, 'SIGTERM');
    await until(
      'the bare head ends',
      20_000,
      () => this.child.exitCode !== null || this.child.signalCode !== null,
    ).catch(() => undefined);
    for (const { pid } of processesNaming(this.directory)) process.kill(pid, 'SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }
}
