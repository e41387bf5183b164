/**
 * The WireGuard network between the machines of one cluster: what each machine is told of it, and what it tells.
 *
 * Each machine of the cluster has a slot and with it the addresses 100.64.0.0 + 256 × slot … + 255, one for each of the
 * cluster's Ray nodes there. All clusters have the same addresses: each network lies in network namespaces of its own, and no
 * two know each other's keys. The range is that part of the shared address space (RFC 6598) in which no resolver of a cloud
 * or of another VPN is known to stand.
 */
import { z } from 'zod';
import { clusterId } from './ids.js';

export const mostMeshSlots = 4_095;
/** Ray nodes of one cluster on one machine. */
export const addressesPerSlot = 254;
export const meshPrefixLength = 12;
const firstAddress = 0x64_40_00_00;

/** The `n`-th address of a machine, from 1. Throws a RangeError outside of the machine's block. */
export function meshAddress(slot: number, n: number): string {
  if (slot < 1 || slot > mostMeshSlots || n < 1 || n > addressesPerSlot)
    throw new RangeError(`no address ${slot}/${n}`);
  return dotted(firstAddress + slot * 256 + n);
}

/** The block of a machine, in CIDR notation. */
export const meshBlock = (slot: number): string => `${dotted(firstAddress + slot * 256)}/24`;

/** The slot that an address belongs to; null: it is none of such a network. */
export function slotOf(address: string): number | null {
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) - firstAddress;
  return number > 255 && number < (mostMeshSlots + 1) * 256 ? number >>> 8 : null;
}

const dotted = (number: number) => [24, 16, 8, 0].map(shift => (number >>> shift) & 255).join('.');

export const meshSlot = z.int().min(1).max(mostMeshSlots);
/** x25519, base64. */
export const meshKey = z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'an x25519 key in base64');
/** Where UDP may be sent to. */
export const meshEndpoint = z
  .string()
  .max(64)
  .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d{1,5}$/i, 'address and port, such as 192.0.2.7:51820');
export const mostEndpoints = 12;

/** Another machine of the cluster. */
export const meshPeer = z.object({
  slot: meshSlot,
  publicKey: meshKey,
  /** Where it may be reached directly, the likeliest first. */
  endpoints: z.array(meshEndpoint).max(mostEndpoints),
});
export type MeshPeer = z.infer<typeof meshPeer>;

/**
 * A public machine that helps: to its observer each member sends keepalives, so that it can tell where the member's packets
 * come from; its relay carries what cannot go directly, encrypted between members as it is.
 */
export const meshHelper = z.object({
  relay: meshEndpoint,
  observer: z.object({ publicKey: meshKey, endpoint: meshEndpoint }).nullable(),
});
export type MeshHelper = z.infer<typeof meshHelper>;

/** One cluster's network, as one of its machines is told of it. */
export const meshNetwork = z.object({
  clusterId,
  slot: meshSlot,
  peers: z.array(meshPeer),
  helper: meshHelper.nullable(),
  /** Names this machine to relays: 16 bytes, hex. */
  relayToken: z.string().regex(/^[0-9a-f]{32}$/),
});
export type MeshNetwork = z.infer<typeof meshNetwork>;

/** What a public machine is told of those that it helps. */
export const relayDuty = z.object({
  /** UDP port of its relay; the observer has the next one. */
  port: z.int().min(1).max(65_534),
  members: z.array(z.object({ clusterId, slot: meshSlot, token: meshNetwork.shape.relayToken, publicKey: meshKey })),
});
export type RelayDuty = z.infer<typeof relayDuty>;

/** How what is for a peer goes. `none`: nothing has come from it yet, or for too long. */
export const meshPath = z.enum(['direct', 'udp-relay', 'tcp-relay', 'none']).meta({ id: 'MeshPath' });
export type MeshPath = z.infer<typeof meshPath>;

/** What a machine tells of its networks, whenever any of it changes. */
export const meshReport = z.object({
  networks: z
    .array(
      z.object({
        clusterId,
        publicKey: meshKey,
        listenPort: z.int().min(1).max(65_535),
        /** Its own addresses, with that port. */
        endpoints: z.array(meshEndpoint).max(mostEndpoints),
        paths: z.array(z.object({ slot: meshSlot, path: meshPath })).max(mostMeshSlots),
        /** Some peer can be reached neither directly nor through a UDP relay: a stream `mesh` would help. */
        wantsStream: z.boolean(),
      }),
    )
    .max(1_000),
  /** Where packets with these keys come from, as far as no relay of ours lies between. */
  seen: z.array(z.object({ publicKey: meshKey, endpoint: meshEndpoint })).max(10_000),
  /** The key of its observer; null: it has none. */
  observerKey: meshKey.nullable(),
});
export type MeshReport = z.infer<typeof meshReport>;
