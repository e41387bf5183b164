/** OpenSSH's sshd: the machine's own, or Debian's package unpacked into the cache, without installing a service. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { until } from './processes.js';
import { freePort } from './ssh.js';

const isRoot = process.getuid?.() === 0;

/**
 * As root, sshd needs a system user of its own and a directory in /run, and takes no account that is locked: it gets them
 * in a mount namespace, and the machine stays as it is.
 */
const inNamespace = (passwordHash: string) =>
  [
    'mount -t tmpfs tmpfs /run && mkdir /run/sshd',
    '(cat /etc/passwd; echo sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin) > /run/passwd',
    `printf '%s\\n' 'root:${passwordHash}:19000::::::' > /run/shadow`,
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
      throw new Error(`this needs OpenSSH's sshd: install it (Debian: openssh-server); ${String(error)}`);
    }
  }
  const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib/aarch64-linux-gnu'].map(one => join(cache, one)).join(':');
  return { program, libraries };
}

/** Why there is no sshd to be had here, or null. */
export function sshdObstacle(): string | null {
  try {
    obtain();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** With these lines of sshd_config; `passwordHash`: root's, as crypt(3) makes it. Logs into `directory`. */
export function startSshd(directory: string, config: readonly string[], passwordHash = '*'): ChildProcess {
  const { program, libraries } = obtain();
  const all = [...config, 'PidFile none', 'StrictModes no', 'UsePAM no', 'PermitRootLogin yes'];
  writeFileSync(join(directory, 'sshd_config'), `${all.join('\n')}\n`);
  const env = { ...process.env, ...(libraries ? { LD_LIBRARY_PATH: libraries } : {}) };
  const command = [program, '-D', '-e', '-f', join(directory, 'sshd_config')];
  const [first = '', ...rest] = isRoot
    ? ['unshare', '--mount', 'sh', '-c', inNamespace(passwordHash), 'sh', ...command]
    : command;
  const server = spawn(first, rest, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let words = '';
  server.stderr?.on('data', (chunk: Buffer) => {
    words += chunk.toString();
    writeFileSync(join(directory, 'sshd.log'), words);
  });
  return server;
}

/** A machine that is reached by SSH: a server of its own, on a port of its own, with a host key and a directory of its own. */
export class Sshd {
  #server: ChildProcess | undefined;

  private constructor(
    readonly directory: string,
    readonly port: number,
    readonly passwordHash: string | undefined,
  ) {}

  /** `publicKey`: whoever holds its private half gets in. */
  static async start(publicKey: string, password?: string): Promise<Sshd> {
    const directory = mkdtempSync('/var/tmp/iocloud-sshd-');
    const hash = ['passwd', '-6', '-stdin'];
    const passwordHash =
      password === undefined ? undefined : execFileSync('openssl', hash, { input: password, encoding: 'utf8' }).trim();
    const sshd = new Sshd(directory, await freePort(), passwordHash);
    sshd.allow(publicKey);
    sshd.newHostKey();
    await sshd.listen();
    return sshd;
  }

  allow(publicKey: string): void {
    writeFileSync(join(this.directory, 'authorized_keys'), publicKey);
  }

  newHostKey(): void {
    rmSync(join(this.directory, 'host'), { force: true });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.directory, 'host')]);
  }

  /** `user@host:port`. */
  get address(): string {
    return `${userInfo().username}@127.0.0.1:${this.port}`;
  }

  async listen(): Promise<void> {
    this.#server = startSshd(
      this.directory,
      [
        `Port ${this.port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${join(this.directory, 'host')}`,
        `AuthorizedKeysFile ${join(this.directory, 'authorized_keys')}`,
        `PasswordAuthentication ${this.passwordHash ? 'yes' : 'no'}`,
        // What a login shell of the machine would have.
        `SetEnv PATH=${process.env.PATH}`,
      ],
      this.passwordHash,
    );
    const listens = `:${this.port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
    await until('sshd', 20_000, () => readFileSync('/proc/net/tcp', 'utf8').includes(listens));
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, 'exit');
    server.kill();
    await gone;
  }
}
