/** OpenSSH's sshd as the peer. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startSshd, until } from '../../src/harness/index.js';

/** Makes two hops of what a renter's forward takes: `ssh -R` from the machine to it, `ssh -L` from the user. */
export class OpenSshTunnel {
  readonly #children: ChildProcess[] = [];

  private constructor(
    readonly directory: string,
    readonly port: number,
    readonly cipher: string,
  ) {}

  static async start(cipher: string): Promise<OpenSshTunnel> {
    const directory = mkdtempSync(join(tmpdir(), 'iocloud-sshd-'));
    const key = (name: string) =>
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)]);
    key('host');
    key('user');
    const tunnel = new OpenSshTunnel(directory, await freePort(), cipher);
    const server = startSshd(directory, [
      `Port ${tunnel.port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(directory, 'host')}`,
      `AuthorizedKeysFile ${join(directory, 'user.pub')}`,
    ]);
    server.on('error', error => process.stderr.write(`sshd: ${error.message}\n`));
    tunnel.#children.push(server);
    return tunnel;
  }

  #ssh(args: string[]): ChildProcess {
    const all = [
      ...[
        '-F',
        '/dev/null',
        '-i',
        join(this.directory, 'user'),
        '-o',
        'IdentitiesOnly=yes',
        '-o',
        'IdentityAgent=none',
      ],
      ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
      ...['-o', `Ciphers=${this.cipher}`, '-o', 'ExitOnForwardFailure=yes', '-N', '-p', String(this.port), ...args],
      'root@127.0.0.1',
    ];
    const child = spawn('ssh', all, { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  /** Local ports: of one hop to the target, and of two. */
  async to(target: number): Promise<{ oneHop: number; twoHops: number }> {
    const oneHop = await freePort();
    const twoHops = await freePort();
    await until('sshd', 20_000, () => listens(this.port));
    this.#ssh(['-R', `127.0.0.1:${oneHop}:127.0.0.1:${target}`]);
    await until('ssh -R', 20_000, () => listens(oneHop));
    this.#ssh(['-L', `127.0.0.1:${twoHops}:127.0.0.1:${oneHop}`]);
    await until('ssh -L', 20_000, () => listens(twoHops));
    return { oneHop, twoHops };
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const listens = (port: number): boolean =>
  execFileSync('cat', ['/proc/net/tcp'], { encoding: 'utf8' }).includes(
    `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`,
  );
