/** What a node has or has not, as bits: a zone's bits are those of any of its nodes, so that a zone that lacks one is passed over. */
import type { Connectivity, Interconnect, Network } from './types.js';

const connectivityOrder: Connectivity[] = ['low', 'medium', 'high', 'ultra'];
const interconnectOrder: Interconnect[] = ['none', 'pcie', 'nvlink'];
const networks: Network[] = ['ethernet', 'infiniband', 'roce'];

const connectivityBit = 0;
const interconnectBit = 4;
const networkBit = 7;
const firstComplianceBit = 10;
/** Names beyond what a word has bits for share its last bit, and are looked up by name where that bit is set. */
const lastBit = 31;

export interface FeatureSource {
  interconnect: Interconnect;
  network: Network;
  connectivity: Connectivity;
  compliance: string[];
  rayVersions: string[];
}

/** Two words: `traits` (tiers, network, compliance) and `rays` (Ray versions). `names`: those that share a last bit. */
export interface Features {
  traits: number;
  rays: number;
  names: string[];
}

export class FeatureBits {
  readonly #compliance = new Map<string, number>();
  readonly #rays = new Map<string, number>();

  of(node: FeatureSource): Features {
    const tiers = 2 ** (connectivityOrder.indexOf(node.connectivity) + 1) - 1;
    const links = 2 ** (interconnectOrder.indexOf(node.interconnect) + 1) - 1;
    let traits =
      (tiers << connectivityBit) | (links << interconnectBit) | (1 << (networkBit + networks.indexOf(node.network)));
    let rays = 0;
    const names: string[] = [];
    for (const name of node.compliance) {
      const bit = give(this.#compliance, name, firstComplianceBit);
      traits |= 1 << bit;
      if (bit === lastBit) names.push(name);
    }
    for (const name of node.rayVersions) {
      const bit = give(this.#rays, name, 0);
      rays |= 1 << bit;
      if (bit === lastBit) names.push(rayName(name));
    }
    return { traits, rays, names };
  }

  /** What a node must have; null when no node that ever came has it. */
  wanted(want: {
    compliance: string[];
    minConnectivity: Connectivity | null;
    network: Network | undefined;
    rayVersion: string | null;
  }): Features | null {
    let traits = want.minConnectivity === null ? 0 : 1 << connectivityOrder.indexOf(want.minConnectivity);
    if (want.network !== undefined) traits |= 1 << (networkBit + networks.indexOf(want.network));
    let rays = 0;
    const names: string[] = [];
    for (const name of want.compliance) {
      const bit = this.#compliance.get(name);
      if (bit === undefined) return null;
      traits |= 1 << bit;
      if (bit === lastBit) names.push(name);
    }
    if (want.rayVersion !== null) {
      const bit = this.#rays.get(want.rayVersion);
      if (bit === undefined) return null;
      rays |= 1 << bit;
      if (bit === lastBit) names.push(rayName(want.rayVersion));
    }
    return { traits, rays, names };
  }
}

const rayName = (version: string) => `ray ${version}`;

export const interconnectTrait = (least: Interconnect): number =>
  1 << (interconnectBit + interconnectOrder.indexOf(least));

function give(bits: Map<string, number>, name: string, first: number): number {
  const known = bits.get(name);
  if (known !== undefined) return known;
  const bit = Math.min(lastBit, first + bits.size);
  bits.set(name, bit);
  return bit;
}
