/** Where one member of a network may reach another directly, the likeliest first. Pure. */
import { mostEndpoints } from '@iocloud/contracts';

export interface Whereabouts {
  /** Its own addresses, with the port that it listens on. */
  endpoints: readonly string[];
  listenPort: number | null;
  /** That its connection to the control plane comes from: its own, or its NAT's. */
  remoteAddress: string | null;
  /** Where public machines, and other members, see its packets come from. */
  observed: readonly string[];
}

export const hostOf = (endpoint: string): string => endpoint.slice(0, endpoint.lastIndexOf(':'));

const isThisHost = (address: string) => address === '::1' || address.startsWith('127.');

/**
 * Behind one NAT, as far as their connections show: its own addresses first. Elsewhere: where it is seen, then its NAT's address
 * with its own port (some NATs keep it, and some forward it), and its own addresses last, which mean another network there.
 */
export function candidates(from: Whereabouts, to: Whereabouts): string[] {
  const isHome = from.remoteAddress !== null && from.remoteAddress === to.remoteAddress;
  const remote =
    to.remoteAddress !== null && to.listenPort !== null && !isThisHost(to.remoteAddress)
      ? [`${bracketed(to.remoteAddress)}:${to.listenPort}`]
      : [];
  const elsewhere = [...to.observed, ...remote];
  const found = isHome ? [...to.endpoints, ...elsewhere] : [...elsewhere, ...to.endpoints];
  return [...new Set(found)].slice(0, mostEndpoints);
}

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);
