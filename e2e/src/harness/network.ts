/**
 * A network namespace in which a machine's agent runs, joined to the host by one link that can be cut, with a /run of its
 * own, as agents keep there what is the machine's. Needs root on Linux.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ip = (...args: string[]) => run('ip', args);

/** Why there can be none here, or null. */
export function networkObstacle(): string | null {
  if (process.platform !== 'linux') return `network namespaces need Linux, and this is ${process.platform}`;
  return process.getuid?.() === 0 ? null : 'network namespaces need root';
}

/** A machine's network and its link to the rest, which can be cut. */
export interface MachineLink {
  /** Where the control plane's SSH server is, as seen from there. */
  readonly hostAddress: string;
  /** The program and arguments that run a command there. */
  command(program: string, args: string[]): [string, string[]];
  cut(): Promise<void>;
  heal(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Keeps a network namespace with a /run of its own while agents come and go. It ends with its standard input, should this
 * process be killed.
 */
export class Keeper {
  private constructor(readonly process: ChildProcess) {}

  static async start(namespace: string): Promise<Keeper> {
    const keep = 'mount -t tmpfs tmpfs /run && echo ready && exec cat';
    const process = spawn('nsenter', [`--net=/run/netns/${namespace}`, 'unshare', '--mount', 'sh', '-c', keep], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (!process.stdout) throw new Error('the keeper of the namespaces has no output');
    await Promise.race([
      once(process.stdout, 'data'),
      once(process, 'exit').then(([code]) => Promise.reject(new Error(`no namespaces: exit code ${code}`))),
    ]);
    return new Keeper(process);
  }

  command(program: string, args: string[]): [string, string[]] {
    return ['nsenter', [`--target=${this.process.pid}`, '--net', '--mount', program, ...args]];
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null) return;
    const gone = once(this.process, 'exit');
    this.process.stdin?.end();
    await gone;
  }
}

export class MachineNetwork implements MachineLink {
  #keeper: Keeper | undefined;

  private constructor(
    readonly name: string,
    /** Of the host's end, where the control plane's SSH server must listen. */
    readonly hostAddress: string,
  ) {}

  /** `key` names it: two with the same cannot be at one time. */
  static async up(key: string): Promise<MachineNetwork> {
    const digest = createHash('sha256').update(key).digest();
    // Also the name of the link's end on the host: 15 characters at most, and none that an agent takes for its own.
    const name = `e2e${digest.toString('hex').slice(0, 10)}`;
    const [first = 0, second = 0] = digest;
    // Of the block for benchmarks (RFC 2544), which no network of the host's has.
    const block = `198.18.${first}.${second & ~3}`.split('.').map(Number);
    const address = (n: number) => [...block.slice(0, 3), (block[3] ?? 0) + n].join('.');
    const network = new MachineNetwork(name, address(1));
    const inside = (...args: string[]) => ip('-n', name, ...args);
    try {
      await ip('netns', 'add', name);
      await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', name);
      await ip('address', 'add', `${address(1)}/30`, 'dev', name);
      await ip('link', 'set', name, 'up');
      await inside('link', 'set', 'lo', 'up');
      await inside('address', 'add', `${address(2)}/30`, 'dev', 'uplink');
      await inside('link', 'set', 'uplink', 'up');
      await inside('route', 'add', 'default', 'via', address(1));
      network.#keeper = await Keeper.start(name);
    } catch (error) {
      await network.remove();
      throw error;
    }
    return network;
  }

  command(program: string, args: string[]): [string, string[]] {
    if (!this.#keeper) throw new Error(`the network ${this.name} is not up`);
    return this.#keeper.command(program, args);
  }

  async cut(): Promise<void> {
    await ip('link', 'set', this.name, 'down');
  }

  async heal(): Promise<void> {
    await ip('link', 'set', this.name, 'up');
  }

  /** Takes away what there is of it. */
  async remove(): Promise<void> {
    await this.#keeper?.stop();
    // Not there, where `up` failed half-way.
    await ip('link', 'delete', this.name).catch(() => undefined);
    await ip('netns', 'delete', this.name).catch(() => undefined);
  }
}
