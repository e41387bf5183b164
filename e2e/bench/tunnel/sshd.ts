/** OpenSSH's sshd as the peer: the machine's own, or Debian's package unpacked into the cache, without installing a service. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from '../../src/harness/index.js';

/**
 * As root, sshd needs a system user of its own and a directory in /run, and takes no account that is locked: it gets them
 * in a mount namespace, and the machine stays as it is.
 */
const inNamespace = [
  'mount -t tmpfs tmpfs /run && mkdir /run/sshd',
  '(cat /etc/passwd; echo sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin) > /run/passwd',
  'echo "root:*:19000::::::" > /run/shadow',
  'mount --bind /run/passwd /etc/passwd && mount --bind /run/shadow /etc/shadow',
  'exec "$@"',
].join(' && ');

/** Returns the program, and where it finds its libraries. */
function obtain(): { program: string; libraries: string } {
  for (const program of ['/usr/sbin/sshd', '/usr/local/sbin/sshd']) {
    if (existsSync(program)) return { program, libraries: '' };
  }
  const cache = join(process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? tmpdir(), '.cache'), 'iocloud', 'sshd');
  const program = join(cache, 'usr/sbin/sshd');
  if (!existsSync(program)) {
    mkdirSync(cache, { recursive: true });
    try {
      execFileSync('apt-get', ['download', '-qq', 'openssh-server', 'libwrap0'], { cwd: cache, stdio: 'pipe' });
      execFileSync('sh', ['-c', 'for deb in *.deb; do dpkg-deb -x "$deb" .; done'], { cwd: cache, stdio: 'pipe' });
    } catch (error) {
      throw new Error(`this benchmark needs OpenSSH's sshd: install it (Debian: openssh-server); ${String(error)}`);
    }
  }
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu'].map(one => join(cache, one)).join(':');
  return { program, libraries };
}

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
    const { program, libraries } = obtain();
    const key = (name: string) =>
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(directory, name)]);
    key('host');
    key('user');
    const tunnel = new OpenSshTunnel(directory, await freePort(), cipher);
    const config = [
      `Port ${tunnel.port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(directory, 'host')}`,
      `AuthorizedKeysFile ${join(directory, 'user.pub')}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
    ];
    writeFileSync(join(directory, 'sshd_config'), `${config.join('\n')}\n`);
    const env = { ...process.env, ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}) };
    const args = ['-D', '-e', '-f', join(directory, 'sshd_config')];
    const command = ['--mount', 'sh', '-c', inNamespace, 'sh', program, ...args];
    const server = spawn('unshare', command, { env, stdio: 'ignore' });
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
