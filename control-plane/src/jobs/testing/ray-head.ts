/** A real Ray head for tests: its own address, ports, folder and token; nothing of it is left after `stop()`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { eventually } from './eventually.js';

const startLimitMs = 120_000;
const followIntervalMs = 20;

export interface RayHead {
  host: string;
  port: number;
  token: string;
  agent: Agent;
  jobLog(submissionId: string, fromByte: number, follow: boolean): Promise<Readable | null>;
  /** kill -9 of all its processes. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** As the tunnel's: whatever address is asked for, the connection goes to the head. */
class HeadAgent extends Agent {
  constructor(
    readonly host: string,
    readonly port: number,
  ) {
    super({ keepAlive: true });
  }
  override createConnection() {
    return connect(this.port, this.host);
  }
}

export const rayBin = (name: string): string => join(venv(), 'bin', name);

function venv(): string {
  const dir = process.env.IOCLOUD_VENV;
  if (!dir) throw new Error('IOCLOUD_VENV must name a virtual environment with ray[default]');
  return dir;
}

export async function startRayHead(options: { cpus: number }): Promise<RayHead> {
  const mark = randomBytes(8).toString('hex');
  const folder = join(tmpdir(), `ioc-head-${mark.slice(0, 6)}`);
  const host = `127.${randomInt(64, 250)}.${randomInt(1, 250)}.${randomInt(2, 250)}`;
  const token = randomBytes(24).toString('hex');
  const [gcsPort, port, agentPort] = await Promise.all([freePort(host), freePort(host), freePort(host)]);
  const { PYTHONDONTWRITEBYTECODE: _, RAY_ADDRESS: __, ...inherited } = process.env;
  const child = spawn(
    rayBin('ray'),
    [
      'start',
      '--head',
      '--block',
      '--no-monitor',
      '--include-log-monitor=false',
      '--disable-usage-stats',
      '--object-store-memory=78643200',
      `--temp-dir=${folder}`,
      `--node-ip-address=${host}`,
      `--port=${gcsPort}`,
      `--dashboard-host=${host}`,
      `--dashboard-port=${port}`,
      `--dashboard-agent-listen-port=${agentPort}`,
      `--num-cpus=${options.cpus}`,
    ],
    {
      detached: true,
      stdio: 'ignore',
      env: {
        ...inherited,
        PATH: `${join(venv(), 'bin')}:${process.env.PATH}`,
        RAY_AUTH_MODE: 'token',
        RAY_AUTH_TOKEN: token,
        RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S: '0',
        // On a busy machine its parts are slow to answer one another: that is no death of the head.
        RAY_health_check_timeout_ms: '60000',
        RAY_agent_register_timeout_ms: '300000',
        IOCLOUD_TEST_MARK: mark,
      },
    },
  );
  const agent = new HeadAgent(host, port);
  const logs = join(folder, 'session_latest', 'logs');
  const stop = async () => {
    agent.destroy();
    await endMarked(child, mark);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually(
      async () => {
        if (child.exitCode !== null) throw new Error(`ray start exited with ${child.exitCode}`);
        const answer = await fetch(`http://${host}:${port}/api/jobs/`, {
          headers: { Authorization: `Bearer ${token}` },
        });
        if (answer.status !== 200) throw new Error(`the head answers ${answer.status}`);
      },
      { withinMs: startLimitMs },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    host,
    port,
    token,
    agent,
    jobLog: (submissionId, fromByte, follow) => readLog(join(logs, `job-driver-${submissionId}.log`), fromByte, follow),
    kill: () => endMarked(child, mark),
    stop,
  };
}

/** Drivers have sessions of their own: what was started with the mark in its environment is ended by that. */
async function endMarked(child: ChildProcess, mark: string): Promise<void> {
  const needle = `IOCLOUD_TEST_MARK=${mark}`;
  child.kill('SIGKILL');
  await eventually(
    async () => {
      let found = 0;
      for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
        const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
        if (!environment.includes(needle)) continue;
        found += 1;
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended by itself meanwhile.
        }
      }
      if (found > 0) throw new Error(`${found} processes of the head still run`);
    },
    { withinMs: 20_000 },
  );
}

/** Null when there is no such log and it is not waited for. */
async function readLog(path: string, fromByte: number, follow: boolean): Promise<Readable | null> {
  const first = await open(path).catch(() => null);
  if (!first && !follow) return null;
  let stream: Readable | undefined;
  const pieces = async function* () {
    let file = first;
    let offset = fromByte;
    try {
      while (!stream?.destroyed) {
        file ??= await open(path).catch(() => null);
        const piece = file ? await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, offset) : null;
        if (piece && piece.bytesRead > 0) {
          offset += piece.bytesRead;
          yield piece.buffer.subarray(0, piece.bytesRead);
        } else if (!follow) return;
        else await new Promise(resolve => setTimeout(resolve, followIntervalMs));
      }
    } finally {
      await file?.close();
    }
  };
  stream = Readable.from(pieces(), { objectMode: false, highWaterMark: 64 * 1024 });
  return stream;
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    // Outside the range from which Ray takes the ports of its workers.
    server.listen(randomInt(20_000, 32_000), host, () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
