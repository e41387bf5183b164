import { api, type Cluster, openApiDocument, type TenantId } from '@iocloud/contracts';
import type { Request } from 'express';
import {
  type Caller,
  type Config,
  type Database,
  Failure,
  type Http,
  registry,
  type Signer,
  type StateReader,
} from '../platform/index.js';
import { clustersPage, loginPage } from './clusters-page.js';
import { sendDocs } from './docs.js';
import { homePage } from './home.js';
import { sendPage } from './layout.js';
import { endedSession, localNext, readForm, refuseForeignForm, sessionOf } from './login.js';
import { type Checks, readiness } from './readiness.js';
import { sendTerminalAsset, terminalPage, terminalPolicy } from './terminal-page.js';

export interface PageOptions {
  config: Pick<Config, 'publicUrl' | 'rayVersion'>;
  signer: Signer;
  database: Database;
  /** Release of the control plane. */
  version: string;
  /** What metrics read from the database. */
  state: Pick<StateReader, 'refresh'>;
  /** The live clusters of a tenant, newest first. */
  clustersOf(tenantId: TenantId): Promise<Cluster[]>;
  healthy: Checks;
}

const readinessTimeoutMs = 2_000;

export function pageRoutes(http: Http, options: PageOptions): void {
  const { config, signer, database, version } = options;
  const secure = config.publicUrl?.startsWith('https:') ?? false;
  const openapi = JSON.stringify(openApiDocument(version));
  const home = (request: Request, next: string, fault: string | null) =>
    homePage({ address: addressOf(request, config.publicUrl), version, rayVersion: config.rayVersion, next, fault });

  http.handle(api.home, async ({ request, response }) => {
    const { next } = request.query;
    sendPage(response, 200, home(request, localNext(typeof next === 'string' ? next : null), null));
    return undefined;
  });

  http.handle(api.login, async ({ request, response }) => {
    refuseForeignForm(request, config.publicUrl);
    const form = await readForm(request);
    response.set('Cache-Control', 'no-store');
    if (form.has('logout')) {
      response.setHeader('Set-Cookie', endedSession(secure));
      response.redirect(303, '/');
      return undefined;
    }
    const next = localNext(form.get('next'));
    try {
      response.setHeader('Set-Cookie', await sessionOf(database, signer, form.get('key') ?? '', secure));
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'unauthenticated') throw error;
      const fault = 'That key opens nothing here: mistyped, revoked, expired, or of another control plane.';
      sendPage(response, 401, home(request, next, fault));
      return undefined;
    }
    response.redirect(303, next);
    return undefined;
  });

  http.handle(api.clustersPage, async ({ request, response }) => {
    const caller = await sessionCaller(http, request);
    if (!caller) {
      sendPage(response, 401, loginPage('/clusters/', null));
      return undefined;
    }
    if (!caller.permissions.has('clusters:read')) {
      sendPage(response, 403, loginPage('/clusters/', 'This key lacks the permission clusters:read.'));
      return undefined;
    }
    sendPage(response, 200, clustersPage(await options.clustersOf(caller.tenantId)));
    return undefined;
  });

  http.handle(api.terminalPage, async ({ params, request, response }) => {
    const next = `/clusters/${params.clusterId}/terminal`;
    const caller = await sessionCaller(http, request);
    if (!caller) {
      sendPage(response, 401, loginPage(next, null));
      return undefined;
    }
    if (!caller.permissions.has('clusters:connect')) {
      sendPage(response, 403, loginPage(next, 'This key lacks the permission clusters:connect.'));
      return undefined;
    }
    const cluster = (await options.clustersOf(caller.tenantId)).find(one => one.id === params.clusterId);
    if (!cluster) throw new Failure('not-found', `no cluster ${params.clusterId}`);
    const host = config.publicUrl ? new URL(config.publicUrl).host : (request.get('host') ?? '');
    const plain = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/.test(host) ? host : null;
    sendPage(response, 200, terminalPage(cluster), terminalPolicy(plain));
    return undefined;
  });

  http.handle(api.terminalAssets, async ({ request, response }) => {
    await sendTerminalAsset(response, request.path.slice('/terminal/'.length));
    return undefined;
  });

  http.handle(api.docs, async ({ request, response }) => {
    await sendDocs(response, request.path.slice('/docs/'.length));
    return undefined;
  });

  http.handle(api.openapi, async ({ response }) => {
    response.type('application/json').set('X-Content-Type-Options', 'nosniff').send(openapi);
    return undefined;
  });

  http.handle(api.health, async ({ response }) => {
    response.type('text/plain').set('Cache-Control', 'no-store').send('ok\n');
    return undefined;
  });

  http.handle(api.ready, async ({ response }) => {
    const { ready, text } = await readiness(options.healthy, readinessTimeoutMs);
    response
      .status(ready ? 200 : 503)
      .type('text/plain')
      .set('Cache-Control', 'no-store')
      .send(text);
    return undefined;
  });

  http.handle(api.metrics, async ({ response }) => {
    await options.state.refresh();
    response.set({ 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).send(await registry.metrics());
    return undefined;
  });
}

/** Null: nobody is logged in. */
export async function sessionCaller(http: Http, request: Request): Promise<Caller | null> {
  return http.authenticate(request, { cookies: true }).catch(error => {
    if (error instanceof Failure && error.code === 'unauthenticated') return null;
    throw error;
  });
}

/** As the reader reached us, unless the operator said how that is. */
export function addressOf(request: Request, publicUrl: string | undefined): string {
  if (publicUrl) return publicUrl.replace(/\/+$/, '');
  const host = request.get('host') ?? '';
  return `http://${/^[\w.:[\]-]+$/.test(host) ? host : '127.0.0.1:8265'}`;
}
