/** All networks of this machine, as the control plane wishes them; they go on while it is away, and are adopted after a restart. */
import { access, constants, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { type Inventory, type MeshNetwork, type MeshReport, meshNetwork, type RelayDuty } from '@iocloud/contracts';
import type { AgentConfig } from '../config.js';
import type { Logger } from '../log.js';
import type { Sandbox } from '../sandbox/index.js';
import { Device, deviceName, socketDirectory } from './device.js';
import { Helper } from './helper.js';
import { keysIn } from './keys.js';
import { Network } from './network.js';

/** News that come together are told together. */
const tellAfterMs = 50;

interface Held {
  /** Null until its interface is there, and where it could not be made. */
  network: Network | null;
  opening: Promise<void>;
}

export class Mesh {
  readonly #held = new Map<string, Held>();
  readonly #directory: string;
  #wanted = new Set<string>();
  #helper: Helper | undefined;
  #serving: Promise<void> = Promise.resolve();
  #telling: NodeJS.Timeout | undefined;

  private constructor(
    readonly config: AgentConfig,
    readonly sandbox: Sandbox,
    readonly program: string | null,
    readonly ability: NonNullable<Inventory['mesh']>,
    readonly onNews: () => void,
    readonly log: Logger,
  ) {
    this.#directory = join(config.stateDir, 'mesh');
  }

  /** Finds out whether there can be networks, and takes over those that an earlier agent left running. */
  static async open(config: AgentConfig, sandbox: Sandbox, onNews: () => void, log: Logger): Promise<Mesh> {
    const program = config.wireguardGo ?? (await onPath('wireguard-go'));
    const ability = await abilityOf(sandbox, program);
    const mesh = new Mesh(config, sandbox, program, ability, onNews, log);
    if (ability.able) await mesh.#adopt();
    return mesh;
  }

  async #adopt(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    // Before any Ray node starts: only what is there can be hidden from it.
    await mkdir(socketDirectory, { recursive: true, mode: 0o700 });
    for (const clusterId of await readdir(this.#directory)) {
      const text = await readFile(join(this.#directory, clusterId, 'network.json'), 'utf8').catch(() => '');
      const parsed = text === '' ? null : meshNetwork.safeParse(JSON.parse(text));
      if (parsed?.success) this.#begin(parsed.data);
      else await this.#wipe(clusterId);
    }
    this.#wanted = new Set(this.#held.keys());
    await Promise.all([...this.#held.values()].map(({ opening }) => opening.catch(() => undefined)));
  }

  /** Takes in which networks there shall be, and for whom this machine helps. Networks that are not named stay until `close`. */
  async desire(networks: readonly MeshNetwork[], relay: RelayDuty | null): Promise<void> {
    this.#wanted = new Set(networks.map(({ clusterId }) => clusterId));
    if (this.ability.able) {
      for (const config of networks) await this.#desire(config);
      this.#serving = this.#serving.then(() => this.#serve(relay)).catch(error => this.#complain(error));
    } else if (networks.length > 0) {
      this.log.error({ reason: this.ability.reason }, 'a network is wanted on a machine that can have none');
    }
  }

  async #desire(config: MeshNetwork): Promise<void> {
    const held = this.#held.get(config.clusterId);
    await this.#store(config);
    if (!held) this.#begin(config);
    else void held.opening.then(() => held.network?.change(config)).catch(error => this.#complain(error));
  }

  #complain(error: unknown): void {
    this.log.error({ error: String(error) }, 'a network could not be brought to what it shall be');
  }

  #begin(config: MeshNetwork): void {
    const held: Held = { network: null, opening: Promise.resolve() };
    held.opening = this.#open(config).then(network => {
      held.network = network;
      this.#tell();
    });
    held.opening.catch(error => {
      this.#complain(error);
      // What wants it next tries again.
      if (this.#held.get(config.clusterId) === held) this.#held.delete(config.clusterId);
    });
    this.#held.set(config.clusterId, held);
  }

  async #open(config: MeshNetwork): Promise<Network> {
    const { clusterId } = config;
    const file = await this.sandbox.openNetwork(clusterId);
    const keys = await keysIn(join(this.#directory, clusterId, 'key'));
    const network = new Network(config, this.#device(clusterId), keys, () => this.#tell(), this.log);
    await network.open(file);
    return network;
  }

  #device(what: string): Device {
    const { stateDir } = this.config;
    const log = join(this.#directory, 'wireguard.log');
    return new Device(deviceName(stateDir, what), this.sandbox.python, this.program ?? '', log);
  }

  async #store(config: MeshNetwork): Promise<void> {
    const directory = join(this.#directory, config.clusterId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = join(directory, 'network.json');
    await writeFile(`${file}.new`, JSON.stringify(config), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  async #serve(duty: RelayDuty | null): Promise<void> {
    if (this.#helper && this.#helper.port !== duty?.port) {
      await this.#helper.close(false);
      this.#helper = undefined;
    }
    if (duty && !this.#helper) {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const keys = await keysIn(join(this.config.stateDir, 'observer-key'));
      const helper = new Helper(duty.port, this.#device('observer'), keys, () => this.#tell(), this.log);
      this.#helper = helper;
      try {
        await helper.open();
      } catch (error) {
        this.#helper = undefined;
        await helper.close(false);
        throw error;
      }
    }
    await this.#helper?.serve(duty?.members ?? []);
  }

  #tell(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.onNews();
    }, tellAfterMs);
  }

  /** Resolves once a Ray node of the cluster can take its address. Throws with the reason why it never will. */
  async ready(clusterId: string): Promise<void> {
    const held = this.#held.get(clusterId);
    if (!held)
      throw new Error(`no network for the cluster: ${this.ability.able ? 'none is wanted' : this.ability.reason}`);
    await held.opening;
  }

  has(clusterId: string): boolean {
    return this.#held.has(clusterId);
  }

  /** Networks of clusters that shall have none here any more. */
  unwanted(): string[] {
    return [...this.#held.keys()].filter(clusterId => !this.#wanted.has(clusterId));
  }

  /** Those that are here, wanted or not. */
  clusterIds(): string[] {
    return [...this.#held.keys()];
  }

  /** Ends the network and wipes its key. Its namespace is the caller's to remove. */
  async close(clusterId: string): Promise<void> {
    const held = this.#held.get(clusterId);
    if (!held) return;
    await held.opening.catch(() => undefined);
    await held.network?.leave();
    await this.#wipe(clusterId);
    this.#held.delete(clusterId);
    this.#tell();
  }

  async #wipe(clusterId: string): Promise<void> {
    await this.#device(clusterId).down();
    await rm(join(this.#directory, clusterId), { recursive: true, force: true });
  }

  /** Null where there is no such network. */
  carry(clusterId: string, stream: Duplex): Promise<void> | null {
    return this.#held.get(clusterId)?.network?.carry(stream) ?? null;
  }

  report(): MeshReport {
    const networks = [...this.#held.values()].flatMap(({ network }) => (network ? [network] : []));
    return {
      networks: networks.map(network => network.report()),
      seen: [...(this.#helper?.seen() ?? []), ...networks.flatMap(network => network.seen())],
      observerKey: this.#helper?.keys.publicKey ?? null,
    };
  }

  /** With `keep` the interfaces stay, for the next start to adopt. */
  async stop(keep: boolean): Promise<void> {
    clearTimeout(this.#telling);
    await this.#serving;
    await this.#helper?.close(keep);
    for (const [clusterId, { network, opening }] of this.#held) {
      await opening.catch(() => undefined);
      await network?.leave();
      if (!keep) await this.#wipe(clusterId);
    }
    if (!keep) this.#held.clear();
    clearTimeout(this.#telling);
  }
}

async function abilityOf(sandbox: Sandbox, program: string | null): Promise<NonNullable<Inventory['mesh']>> {
  const no = (reason: string) => ({ able: false, reason });
  if (!sandbox.hasNetworks) return no('networks between machines need namespaces, and here are none');
  if (program === null) return no('wireguard-go is not on the PATH, nor named as wireguardGo in the configuration');
  const lacking = await access(program, constants.X_OK).then(
    () => '',
    () => `${program} cannot be run`,
  );
  if (lacking !== '') return no(lacking);
  return access('/dev/net/tun', constants.R_OK | constants.W_OK).then(
    () => ({ able: true, reason: `wireguard-go (${program})` }),
    () => no('/dev/net/tun cannot be opened: the tun module is missing, or kept from this container'),
  );
}

async function onPath(name: string): Promise<string | null> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(directory, name);
    if (
      directory !== '' &&
      (await access(file, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      return file;
  }
  return null;
}
