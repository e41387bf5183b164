/** The cluster's own dashboard behind our login. */
import type { IncomingMessage } from 'node:http';
import { api } from '@iocloud/contracts';
import type { Http, Logger } from '../../platform/index.js';
import type { Heads } from '../heads.js';
import { dashboardPath, getCluster } from '../store.js';
import { type LoginWiring, loginLink, openSession } from './login.js';
import { passHttp, passUpgrade } from './passthrough.js';

export { type LoginWiring, loginLink, openSession } from './login.js';

interface Wiring extends LoginWiring {
  heads: Heads;
  log: Logger;
}

export function dashboardRoutes(http: Http, wiring: Wiring): void {
  const { config, database, heads, log } = wiring;
  const publicHost = config.publicUrl ? new URL(config.publicUrl).host : null;
  const hostOf = (request: IncomingMessage) => publicHost ?? request.headers.host ?? '';

  http.handle(api.createDashboardLink, async ({ caller, params, request }) => {
    const { id } = await getCluster(database, caller.tenantId, params.clusterId);
    return loginLink(wiring, caller, request, { id, path: `/clusters/${id}/` });
  });

  http.handle(api.clusterLogin, async ({ params, query, response }) => {
    const { clusterId: id } = params;
    await openSession(wiring, response, { id, link: query.link, location: dashboardPath(id) });
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
