/** A connection to the API server of a provider, with what its owner gave for it. */
import { Agent } from 'node:https';
import { isIP } from 'node:net';
import { type Connection, inCluster } from '@iocloud/ray-operator';
import type { Destinations } from '../../platform/index.js';
import { hostOf } from '../../platform/index.js';
import type { Access } from '../store.js';

const maxSockets = 64;

/** Throws RefusedAddress where the address is not one that tenants may have us connect to. */
export async function connectTo(access: Access, destinations: Destinations): Promise<Connection> {
  if (access === null) return inCluster(process.env);
  const server = new URL(access.server);
  destinations.demandUrl(server);
  const { credentials } = access;
  const agent = new Agent({
    keepAlive: true,
    maxSockets,
    lookup: destinations.lookup(true),
    ...(access.certificateAuthority === undefined ? {} : { ca: access.certificateAuthority }),
    ...(credentials.type === 'certificate' ? { cert: credentials.certificate, key: credentials.key } : {}),
    ...(isIP(hostOf(server)) === 0 ? { servername: server.hostname } : {}),
  });
  const headers = credentials.type === 'token' ? { authorization: `Bearer ${credentials.token}` } : {};
  return { server, isInCluster: false, options: async () => ({ agent, headers }) };
}
