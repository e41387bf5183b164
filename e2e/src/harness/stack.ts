/** A whole system as `make up` starts it, in a home of its own with free ports, gone without a trace at `stop()`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Machine, type MachineOptions } from './machine.js';
import { type Process, processes, processesNaming, until } from './processes.js';

/** The checkout: sources and built files lie at different depths in it. */
export const repository = (() => {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package-lock.json'))) directory = dirname(directory);
  return directory;
})();

export const iocloudProgram = join(repository, 'cli/bin/iocloud.js');

export interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

export type Part = 'control plane' | 'agent' | 'postgres' | 'redis';

const partPatterns: Record<Part, RegExp> = {
  'control plane': /control-plane\/dist\/main\.js/,
  agent: /worker-bootstrap\/dist\/main\.js/,
  postgres: /\/bin\/postgres -D/,
  redis: /(redis|valkey)-server/,
};

interface StackOptions {
  home?: string;
  env?: Record<string, string>;
}

export class Stack {
  address = '';
  apiKey = '';
  /** Environment of a shell that has sourced the env file. */
  env: Record<string, string> = {};
  output = '';
  readonly machines: Machine[] = [];
  #launcher: ChildProcess | undefined;
  #shared: string | undefined;

  constructor(
    readonly home: string,
    readonly options: StackOptions,
  ) {}

  static async start(options: StackOptions = {}): Promise<Stack> {
    const stack = new Stack(options.home ?? mkdtempSync(join(tmpdir(), 'iocloud-e2e-')), options);
    await stack.up();
    return stack;
  }

  async up(): Promise<void> {
    const launcher = spawn(process.execPath, [iocloudProgram, 'up', '--no-self-check', '--json'], {
      cwd: repository,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        IOCLOUD_HOME: this.home,
        IOCLOUD_PORT: '0',
        IOCLOUD_SSH_PORT: '0',
        ...this.options.env,
      },
    });
    this.#launcher = launcher;
    launcher.stderr?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString();
    });
    const lines = createInterface({ input: launcher.stdout as NodeJS.ReadableStream });
    const ready = new Promise<{ address: string; envFile: string }>((resolve, reject) => {
      lines.on('line', line => {
        this.output += `${line}\n`;
        if (line.startsWith('{"address"')) resolve(JSON.parse(line));
      });
      launcher.once('exit', code =>
        reject(new Error(`the launcher ended with ${code}:\n${this.output}${this.logs()}`)),
      );
    });
    const { address, envFile } = await ready;
    this.address = address;
    this.env = { ...(process.env as Record<string, string>), NODE_OPTIONS: '', ...sourced(envFile) };
    this.apiKey = this.env.IOCLOUD_API_KEY ?? '';
  }

  /** One more machine: an agent with a state directory of its own, on this host. Resolves when it is online. */
  async machine(name: string, options: MachineOptions = {}): Promise<Machine> {
    const machine = await Machine.enrol(this, name, options);
    this.machines.push(machine);
    machine.start();
    await machine.online();
    return machine;
  }

  /** Of the PostgreSQL that the system runs: what the control plane was given, which is told to nobody else. */
  async databaseUrl(): Promise<string> {
    const { pid } = await this.part('control plane');
    const [, url] = /(?:^|\0)DATABASE_URL=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8')) ?? [];
    if (!url) throw new Error('the control plane has no DATABASE_URL');
    return url;
  }

  /** The tail of each log, for a failure's message. */
  logs(): string {
    try {
      const dir = join(this.home, 'logs');
      return readdirSync(dir)
        .map(name => `--- ${name}\n${readFileSync(join(dir, name), 'utf8').slice(-3000)}`)
        .join('\n');
    } catch {
      return '';
    }
  }

  /** Runs a program as in a shell that has sourced the env file. */
  run(command: string, args: string[], options: { env?: Record<string, string>; cwd?: string } = {}): Promise<Result> {
    return run(command, args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Runs `ray job …` with the newest client. */
  ray(...args: string[]): Promise<Result> {
    return this.run('ray', args);
  }

  iocloud(...args: string[]): Promise<Result> {
    return this.iocloudAs(this.apiKey, ...args);
  }

  /** As whose key it is. */
  iocloudAs(key: string, ...args: string[]): Promise<Result> {
    return this.run(process.execPath, [iocloudProgram, ...args], { env: { IOCLOUD_API_KEY: key } });
  }

  /** What a command prints that has to succeed. */
  said(...args: string[]): Promise<string> {
    return this.saidTo(this.apiKey, ...args);
  }

  async saidTo(key: string, ...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.iocloudAs(key, ...args);
    if (code !== 0) throw new Error(`iocloud ${args.join(' ')} exited with ${code}: ${stderr}`);
    return stdout;
  }

  /** The same as JSON. */
  async read<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.said(...args, '--json'));
  }

  /** Calls the API with the default key, or another; returns status and JSON (or text). */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  ): Promise<{ status: number; body: any; headers: Headers }> {
    const response = await fetch(`${this.address}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        authorization: `Bearer ${this.apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    let parsed: unknown = text;
    if (/json/.test(response.headers.get('content-type') ?? '')) parsed = JSON.parse(text);
    return { status: response.status, body: parsed, headers: response.headers };
  }

  async submit(entrypoint: string, more: Record<string, unknown> = {}): Promise<string> {
    const { status, body } = await this.call('POST', '/api/jobs/', { entrypoint, ...more });
    if (status !== 200) throw new Error(`submission answered ${status}: ${JSON.stringify(body)}`);
    return body.submission_id;
  }

  // biome-ignore lint/suspicious/noExplicitAny: Ray's own shape
  async job(submissionId: string): Promise<any> {
    const { status, body } = await this.call('GET', `/api/jobs/${submissionId}`);
    if (status !== 200) throw new Error(`job ${submissionId}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Waits for a terminal status and returns the job. */
  // biome-ignore lint/suspicious/noExplicitAny: Ray's own shape
  ended(submissionId: string, timeoutMs = 120_000): Promise<any> {
    return until(`job ${submissionId} ends`, timeoutMs, async () => {
      const job = await this.job(submissionId);
      return ['SUCCEEDED', 'FAILED', 'STOPPED'].includes(job.status) ? job : null;
    }).catch(async error => {
      const state = await this.call('GET', `/v1/jobs/${submissionId}`).catch(() => null);
      throw new Error(`${error.message}\n${JSON.stringify(state?.body)}\n${this.logs()}`);
    });
  }

  async log(submissionId: string): Promise<string> {
    const { status, body } = await this.call('GET', `/api/jobs/${submissionId}/logs`);
    if (status !== 200) throw new Error(`logs of ${submissionId}: ${status} ${JSON.stringify(body)}`);
    return body.logs;
  }

  /** Creates a cluster with a head of so many CPUs and waits until it is ready. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  async cluster(name: string, spec: Record<string, unknown> = {}): Promise<any> {
    const { status, body } = await this.call('POST', '/v1/clusters', { name, head: { cpus: 1 }, ...spec });
    if (status !== 201) throw new Error(`cluster creation answered ${status}: ${JSON.stringify(body)}`);
    return this.clusterIn(body.id, 'ready');
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  clusterIn(id: string, phase: string, timeoutMs = 90_000): Promise<any> {
    let seen: unknown;
    return until(`cluster ${id} is ${phase}`, timeoutMs, async () => {
      const { body } = await this.call('GET', `/v1/clusters/${id}`);
      seen = body;
      return body.phase === phase ? body : null;
    }).catch(error => {
      throw new Error(`${error.message}\n${JSON.stringify(seen)}\n${this.logs()}`);
    });
  }

  /** The process of one part. Waits for it, since it may just be restarted. */
  part(part: Part): Promise<Process> {
    return until(`the ${part} runs`, 30_000, () =>
      processes().find(({ parent, command }) => parent === this.#launcher?.pid && partPatterns[part].test(command)),
    );
  }

  /** kill -9 of one part; resolves when its successor serves. */
  async kill9(part: Part): Promise<void> {
    const { pid } = await this.part(part);
    process.kill(pid, 'SIGKILL');
    await until(`a new ${part}`, 60_000, async () => (await this.part(part)).pid !== pid);
    await until('the system is ready again', 60_000, async () => {
      const response = await fetch(`${this.address}/readyz`);
      const text = await response.text();
      return response.status === 200 ? text || true : false;
    });
  }

  get launcherPid(): number {
    return this.#launcher?.pid ?? -1;
  }

  /** Ctrl-C. Returns the exit code; the home stays. */
  async down(): Promise<number | null> {
    const launcher = this.#launcher;
    if (!launcher || launcher.exitCode !== null || launcher.signalCode !== null) return launcher?.exitCode ?? null;
    launcher.removeAllListeners('exit');
    const exited = once(launcher, 'exit');
    launcher.kill('SIGINT');
    const [code] = await exited;
    return code as number | null;
  }

  /** A directory that the test and the entrypoints of its jobs share: a Ray node has a /tmp of its own. Made when asked for. */
  get shared(): string {
    this.#shared ??= mkdtempSync('/var/tmp/iocloud-e2e-');
    return this.#shared;
  }

  /** Everything that still runs and belongs to this stack. */
  leftovers(): Process[] {
    return processesNaming(this.home);
  }

  async stop(): Promise<void> {
    for (const machine of this.machines) await machine.stop();
    const code = await this.down();
    const left = this.leftovers();
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    for (const directory of [this.home, ...(this.#shared ? [this.#shared] : [])])
      await rm(directory, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the launcher ended with ${code}:\n${this.output.slice(-3000)}`);
    if (left.length > 0) throw new Error(`still ran after the stop:\n${left.map(one => one.command).join('\n')}`);
  }
}

/** Runs a program to its end and collects what it printed. */
export async function run(
  command: string,
  args: string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Result> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = await once(child, 'close');
  return { code: code as number | null, stdout, stderr };
}

/** The variables that an env file of `export NAME='value'` lines sets; PATH is the one that refers to what was there. */
function sourced(file: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const match = /^export (\w+)=(.*)$/.exec(line);
    if (!match?.[1] || match[2] === undefined) continue;
    const value = match[2].replace(/^(['"])(.*)\1$/, '$2');
    variables[match[1]] = value.replace(/\$\{?PATH\}?/g, process.env.PATH ?? '');
  }
  return variables;
}
