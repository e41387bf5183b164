/**
 * A pretended internet: a router in a network namespace of its own, joined to this host, and sites behind gateways that
 * translate addresses in one way or another. Each site is one machine's network. Needs root on Linux.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Keeper, type MachineLink } from './network.js';
import { repository } from './stack.js';

const run = promisify(execFile);
const ip = (...args: string[]) => run('ip', args);

/** `public`: no gateway at all. The others: see nat.py. */
export type SiteKind = 'public' | 'cone' | 'symmetric' | 'udp-blocked';
/** All sites have the same, as homes do. */
const insideBlock = '192.168.77';
const addressesPerSite = 8;

export class Internet {
  readonly sites: Site[] = [];

  private constructor(
    readonly name: string,
    /** The first three bytes of its addresses. */
    readonly block: string,
  ) {}

  /** `key` names it: two with the same cannot be at one time. */
  static async up(key: string): Promise<Internet> {
    const digest = createHash('sha256').update(key).digest();
    // Of the block for benchmarks (RFC 2544); links of single machines have the other half of it.
    const internet = new Internet(`inet${digest.toString('hex').slice(0, 8)}`, `198.19.${digest[0]}`);
    const { name, block } = internet;
    try {
      await ip('netns', 'add', name);
      await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'host', 'netns', name);
      await ip('address', 'add', `${block}.1/30`, 'dev', name);
      await ip('link', 'set', name, 'up');
      await ip('-n', name, 'link', 'set', 'lo', 'up');
      await ip('-n', name, 'address', 'add', `${block}.2/30`, 'dev', 'host');
      await ip('-n', name, 'link', 'set', 'host', 'up');
      await ip('route', 'add', `${block}.0/24`, 'via', `${block}.2`);
      await forward(name);
    } catch (error) {
      await internet.remove();
      throw error;
    }
    return internet;
  }

  /** Where the control plane's SSH server must listen. */
  get hostAddress(): string {
    return `${this.block}.1`;
  }

  async site(kind: SiteKind): Promise<Site> {
    const site = new Site(this, kind, this.sites.length + 1);
    this.sites.push(site);
    await site.up();
    return site;
  }

  async remove(): Promise<void> {
    for (const site of this.sites) await site.remove();
    await ip('link', 'delete', this.name).catch(() => undefined);
    await ip('netns', 'delete', this.name).catch(() => undefined);
  }
}

export class Site implements MachineLink {
  /** Of the machine's namespace. */
  readonly name: string;
  readonly #gateway: string;
  #keeper: Keeper | undefined;
  #outside: number;

  constructor(
    readonly internet: Internet,
    readonly kind: SiteKind,
    readonly number: number,
  ) {
    this.name = `${internet.name}m${number}`;
    this.#gateway = kind === 'public' ? this.name : `${internet.name}g${number}`;
    this.#outside = 2;
  }

  get hostAddress(): string {
    return this.internet.hostAddress;
  }

  #address(n: number): string {
    return `${this.internet.block}.${this.number * addressesPerSite + n}`;
  }

  /** Where it is seen from outside. */
  get outsideAddress(): string {
    return this.#address(this.#outside);
  }

  async up(): Promise<void> {
    const { internet, number } = this;
    const link = `s${number}`;
    await ip('netns', 'add', this.#gateway);
    await ip('-n', internet.name, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'wan', 'netns', this.#gateway);
    await ip('-n', internet.name, 'address', 'add', `${this.#address(1)}/29`, 'dev', link);
    await ip('-n', internet.name, 'link', 'set', link, 'up');
    await ip('-n', this.#gateway, 'link', 'set', 'lo', 'up');
    await ip('-n', this.#gateway, 'link', 'set', 'wan', 'up');
    await this.#setOutside();
    if (this.kind !== 'public') await this.#upInside();
    this.#keeper = await Keeper.start(this.name);
  }

  async #upInside(): Promise<void> {
    await ip('netns', 'add', this.name);
    await ip('-n', this.#gateway, 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'uplink', 'netns', this.name);
    await ip('-n', this.#gateway, 'address', 'add', `${insideBlock}.1/24`, 'dev', 'lan');
    await ip('-n', this.#gateway, 'link', 'set', 'lan', 'up');
    await ip('-n', this.name, 'link', 'set', 'lo', 'up');
    await ip('-n', this.name, 'address', 'add', `${insideBlock}.2/24`, 'dev', 'uplink');
    await ip('-n', this.name, 'link', 'set', 'uplink', 'up');
    await ip('-n', this.name, 'route', 'add', 'default', 'via', `${insideBlock}.1`);
    await forward(this.#gateway);
    const python = join(process.env.IOCLOUD_VENV ?? '', 'bin', 'python');
    const script = join(repository, 'e2e/src/harness/nat.py');
    await run('nsenter', [`--net=/run/netns/${this.#gateway}`, python, script, this.kind, 'lan', 'wan'], {
      env: {
        ...process.env,
        IOCLOUD_AGENT_PYTHON: join(repository, 'worker-bootstrap/python'),
        PYTHONDONTWRITEBYTECODE: '1',
      },
    });
  }

  async #setOutside(): Promise<void> {
    await ip('-n', this.#gateway, 'address', 'add', `${this.outsideAddress}/29`, 'dev', 'wan');
    await ip('-n', this.#gateway, 'route', 'replace', 'default', 'via', this.#address(1));
  }

  /** As when a provider gives out another address: with the old one the kernel forgets what it has translated to it. */
  async changeMapping(): Promise<void> {
    await ip('-n', this.#gateway, 'address', 'del', `${this.outsideAddress}/29`, 'dev', 'wan');
    this.#outside += 1;
    await this.#setOutside();
  }

  command(program: string, args: string[]): [string, string[]] {
    if (!this.#keeper) throw new Error(`the site ${this.name} is not up`);
    return this.#keeper.command(program, args);
  }

  async cut(): Promise<void> {
    await ip('-n', this.internet.name, 'link', 'set', `s${this.number}`, 'down');
  }

  async heal(): Promise<void> {
    await ip('-n', this.internet.name, 'link', 'set', `s${this.number}`, 'up');
  }

  async remove(): Promise<void> {
    await this.#keeper?.stop();
    this.#keeper = undefined;
    await ip('netns', 'delete', this.name).catch(() => undefined);
    if (this.#gateway !== this.name) await ip('netns', 'delete', this.#gateway).catch(() => undefined);
  }
}

const forward = (namespace: string) =>
  run('nsenter', [`--net=/run/netns/${namespace}`, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
