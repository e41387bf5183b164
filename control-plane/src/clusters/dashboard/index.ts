/** The cluster's own dashboard behind our login. */
import type { IncomingMessage } from 'node:http';
import { api } from '@iocloud/contracts';
import { sessionCookie } from '../../accounts/index.js';
import type { Config, Database, Http, Logger, Signer } from '../../platform/index.js';
import type { Heads } from '../heads.js';
import { dashboardPath, getCluster } from '../store.js';
import { linkLifetimeMs, redeemLink, sessionCookieText, signLink } from './login.js';
import { passHttp, passUpgrade } from './passthrough.js';

export { linkLifetimeMs, redeemLink, sessionCookieText, signLink } from './login.js';

interface Wiring {
  config: Pick<Config, 'publicUrl'>;
  database: Database;
  heads: Heads;
  signer: Signer;
  log: Logger;
  random(n: number): Uint8Array;
  now(): Date;
}

export function dashboardRoutes(http: Http, wiring: Wiring): void {
  const { config, database, heads, signer, log } = wiring;
  const publicHost = config.publicUrl ? new URL(config.publicUrl).host : null;
  const hostOf = (request: IncomingMessage) => publicHost ?? request.headers.host ?? '';
  const secure = config.publicUrl?.startsWith('https:') ?? false;

  http.handle(api.createDashboardLink, async ({ caller, params, request }) => {
    const { id } = await getCluster(database, caller.tenantId, params.clusterId);
    const base = config.publicUrl?.replace(/\/+$/, '') ?? `http://${hostOf(request)}`;
    const link = signLink(signer, caller, id, wiring.random);
    return {
      url: `${base}/clusters/${id}/login?link=${link}`,
      expiresAt: new Date(wiring.now().getTime() + linkLifetimeMs).toISOString(),
    };
  });

  http.handle(api.clusterLogin, async ({ params, query, response }) => {
    const session = await redeemLink(database, signer, params.clusterId, query.link);
    response
      .status(303)
      .set('Set-Cookie', sessionCookieText(sessionCookie, session, secure))
      .set('Cache-Control', 'no-store')
      .set('Referrer-Policy', 'no-referrer')
      .set('Location', dashboardPath(params.clusterId))
      .end();
    return undefined;
  });

  http.handle(api.clusterDashboardRoot, async ({ params, request, response }) => {
    const query = new URL(request.url, 'http://localhost').search;
    response
      .status(308)
      .set('Location', `${dashboardPath(params.clusterId)}${query}`)
      .end();
    return undefined;
  });

  http.handle(api.clusterDashboard, async ({ caller, params, request, response }) => {
    const { id } = await getCluster(database, caller.tenantId, params.clusterId);
    await passHttp({ clusterId: id, request, heads, log, host: hostOf(request) }, response);
    return undefined;
  });

  http.handleUpgrade(api.clusterDashboard, async ({ caller, params, request, socket, head }) => {
    const { id } = await getCluster(database, caller.tenantId, params.clusterId);
    await passUpgrade({ clusterId: id, request, heads, log, host: hostOf(request) }, socket, head);
  });
}
