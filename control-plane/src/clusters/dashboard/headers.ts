/**
 * Headers on their way through the dashboard's path, in both directions. Pure.
 *
 * A page from a cluster is written by whoever runs code there, and is served from the same origin as everything else of
 * ours. So nothing of the caller's login reaches the head, and what the head answers may neither set cookies nor loosen
 * what the browser allows: such a page talks to its own prefix only.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** RFC 9110 §7.6.1, and what proxies before us add. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
];

/** The head refuses changing calls that look like a browser's; where the page may call is our decision, taken before. */
const ofBrowsers = /^(sec-fetch-|sec-ch-|sec-gpc$|origin$|referer$|user-agent$|dnt$|upgrade-insecure-requests$)/;
const ofOurs =
  /^(authorization|x-ray-authorization|cookie|host|expect|forwarded|x-forwarded-.*|x-real-ip|idempotency-key)$/;

/** A head answers these, or a page of it makes them answer, to reach further than its own prefix. */
const notForBrowsers =
  /^(set-cookie2?|content-security-policy.*|cross-origin-.*|access-control-.*|service-worker-allowed|clear-site-data|strict-transport-security|alt-svc|refresh|report-to|reporting-endpoints|nel|referrer-policy|permissions-policy|x-frame-options|x-content-type-options|location|content-location|link|sourcemap|x-sourcemap|transfer-encoding|date|server)$/;

export const userAgent = 'iocloud';

function named(connection: string | undefined): Set<string> {
  return new Set((connection ?? '').split(',').map(name => name.trim().toLowerCase()));
}

/** What the head gets of a request's headers, with the cluster's own token. `upgrade`: the handshake of a WebSocket. */
export function headersForHead(
  headers: IncomingHttpHeaders,
  token: Record<string, string>,
  upgrade: boolean,
): OutgoingHttpHeaders {
  const listed = named(headers.connection);
  const kept = Object.entries(headers).filter(
    ([name]) => !hopByHop.includes(name) && !listed.has(name) && !ofBrowsers.test(name) && !ofOurs.test(name),
  );
  return {
    ...Object.fromEntries(kept),
    'user-agent': userAgent,
    ...token,
    ...(upgrade ? { connection: 'Upgrade', upgrade: 'websocket' } : {}),
  };
}

interface Place {
  /** `/clusters/<id>/dashboard/` */
  prefix: string;
  /** Host and port by which the browser reaches us. */
  host: string;
  /** Path of the request as the head saw it, to resolve a relative Location against. */
  upstreamPath: string;
}

const headOrigin = 'http://head.invalid';

/** What the browser gets of the head's answer. `headAuthority`: the head's own host in absolute locations. */
export function headersForBrowser(
  headers: IncomingHttpHeaders,
  place: Place,
  headAuthority: string,
): OutgoingHttpHeaders {
  const listed = named(headers.connection);
  const kept = Object.entries(headers).filter(
    ([name]) => !hopByHop.includes(name) && !listed.has(name) && !notForBrowsers.test(name),
  );
  const location = headers.location === undefined ? null : ownLocation(headers.location, place, headAuthority);
  return {
    ...Object.fromEntries(kept),
    ...(location === null ? {} : { location }),
    ...guards(place),
  };
}

/** Where a redirect of the head leads under our prefix; null when it leads anywhere else, which no page may follow. */
function ownLocation(location: string, place: Place, headAuthority: string): string | null {
  const base = `${headOrigin}${place.upstreamPath}`;
  if (!URL.canParse(location, base)) return null;
  const target = new URL(location, base);
  if (target.origin !== headOrigin && target.host !== headAuthority && target.hostname !== headAuthority) return null;
  return `${place.prefix}${target.pathname.slice(1)}${target.search}${target.hash}`;
}

/**
 * Scripts, calls, forms and frames of the page stay within its own prefix; no other page may frame it; and windows that
 * it opens, or that open it, cannot reach into each other though they share an origin.
 */
export function guards({ prefix, host }: Pick<Place, 'prefix' | 'host'>): Record<string, string> {
  const own = `${host}${prefix}`;
  const policy = [
    `default-src ${own}`,
    `script-src ${own} 'unsafe-inline' 'unsafe-eval'`,
    `style-src ${own} 'unsafe-inline'`,
    `img-src ${own} data: blob:`,
    `font-src ${own} data:`,
    `connect-src ${own} ws://${own} wss://${own}`,
    `worker-src ${own} blob:`,
    `frame-src ${own}`,
    `form-action ${own}`,
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'self'",
  ];
  return {
    'Content-Security-Policy': policy.join('; '),
    'Cross-Origin-Opener-Policy': 'noopener-allow-popups',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
}

/** A Host header that can stand in a policy: name or address, and port. */
export const isPlainHost = (host: string): boolean => /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.test(host);
