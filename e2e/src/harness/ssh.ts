/** An OpenSSH client of a user: a key of its own, registered, and the control plane's host key pinned. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { until } from './processes.js';
import type { Stack } from './stack.js';

export interface SshRun {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

export class SshUser {
  private constructor(
    readonly stack: Stack,
    readonly directory: string,
    readonly port: number,
    readonly keyId: string,
  ) {}

  /** `headers`: another API key than the stack's own. */
  static async register(stack: Stack, headers: Record<string, string> = {}): Promise<SshUser> {
    mkdirSync(join(stack.home, 'ssh'), { recursive: true, mode: 0o700 });
    const directory = mkdtempSync(join(stack.home, 'ssh', 'user-'));
    const file = join(directory, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'e2e', '-f', file]);
    const { challenge } = (await stack.call('POST', '/v1/ssh-key-challenges', undefined, headers)).body;
    const sign = ['-q', '-Y', 'sign', '-n', 'iocloud', '-f', file];
    const signature = execFileSync('ssh-keygen', sign, { input: challenge, encoding: 'utf8' });
    const registration = { publicKey: readFileSync(`${file}.pub`, 'utf8'), proof: { challenge, signature } };
    const { status, body } = await stack.call('POST', '/v1/ssh-keys', registration, headers);
    if (status !== 201) throw new Error(`the key was refused with ${status}: ${JSON.stringify(body)}`);
    const access = (await stack.call('GET', '/v1/ssh', undefined, headers)).body;
    writeFileSync(join(directory, 'known_hosts'), `[127.0.0.1]:${access.port} ${access.hostKey}\n`);
    return new SshUser(stack, directory, access.port, body.id);
  }

  get options(): string[] {
    const key = ['-i', join(this.directory, 'key'), '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'];
    const host = ['-o', `UserKnownHostsFile=${join(this.directory, 'known_hosts')}`, '-o', 'StrictHostKeyChecking=yes'];
    return ['-F', '/dev/null', '-o', 'BatchMode=yes', ...key, ...host];
  }

  start(program: string, args: string[], input?: string): SshRun {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: this.stack.env });
    child.stdin.on('error', () => undefined);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('latin1');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    if (input !== undefined) child.stdin.end(input);
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }));
    return { child, stdout: () => stdout, stderr: () => stderr, ended };
  }

  ssh(name: string, command: string[], more: string[] = [], input?: string): SshRun {
    return this.start(
      'ssh',
      [...this.options, ...more, '-p', String(this.port), `${name}@127.0.0.1`, ...command],
      input,
    );
  }

  /** A command's output; an exit code other than 0 is an error. */
  async output(name: string, command: string): Promise<string> {
    const { code, stdout, stderr } = await this.ssh(name, [command], [], '').ended;
    if (code !== 0) throw new Error(`ssh ${name} ${command}: ${code} ${stderr}`);
    return stdout;
  }

  scp(...args: string[]): SshRun {
    return this.start('scp', [...this.options, '-P', String(this.port), ...args]);
  }

  /** `ssh -N -L` to the target; resolves with the local port once something listens there. */
  async forward(name: string, target: string, more: string[] = []): Promise<{ run: SshRun; port: number }> {
    const port = await freePort();
    const run = this.ssh(
      name,
      [],
      [...more, '-N', '-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${port}:${target}`],
    );
    await until(`a forward to ${target}`, 20_000, () => {
      if (run.child.exitCode !== null) throw new Error(run.stderr());
      return readFileSync('/proc/net/tcp', 'utf8').includes(
        `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`,
      );
    });
    return { run, port };
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** What comes back from a port for what is sent there, until the other side ends; '' where nothing can be reached. */
export async function exchange(port: number, sent: string | Buffer): Promise<string> {
  const socket: Socket = connect({ host: '127.0.0.1', port });
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on('error', () => undefined);
  socket.write(sent);
  await new Promise(resolve => socket.once('close', resolve));
  return text;
}
