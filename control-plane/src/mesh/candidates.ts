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
/** In one network at a guess: the first three bytes are the same. */
const near = (one: string, other: string) =>
  one.split('.').slice(0, 3).join('.') === other.split('.').slice(0, 3).join('.');

/**
 * Behind one NAT, or in one network: its own addresses first. Elsewhere: where it is seen, then its NAT's address with its own
 * port (some NATs keep it, and some forward it), and its own addresses last, which may be meant for another network.
 */
export function candidates(from: Whereabouts, to: Whereabouts): string[] {
  const own = [...to.endpoints];
  const neighbours = own.filter(endpoint => from.endpoints.some(other => near(hostOf(other), hostOf(endpoint))));
  const isHome = from.remoteAddress !== null && from.remoteAddress === to.remoteAddress;
  const remote =
    to.remoteAddress !== null && to.listenPort !== null && !isThisHost(to.remoteAddress)
      ? [`${bracketed(to.remoteAddress)}:${to.listenPort}`]
      : [];
  const first = isHome ? [...neighbours, ...own] : neighbours;
  return [...new Set([...first, ...to.observed, ...remote, ...own])].slice(0, mostEndpoints);
}

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);
