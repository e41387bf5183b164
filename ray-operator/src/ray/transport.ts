/** How the operator reaches the REST API of a cluster's head. */
import type { RayCluster } from '../core/kubernetes-objects.js';
import { headServiceName } from '../core/names.js';
import { dashboardPort } from '../core/services.js';
import type { KubernetesClient } from '../kubernetes/client.js';

export interface RayRequest {
  method: 'GET' | 'POST' | 'PUT';
  path: string;
  body?: unknown;
  token: string | undefined;
  signal: AbortSignal;
}

export interface RayResponse {
  status: number;
  text: string;
}

export type Transport = (cluster: RayCluster, request: RayRequest) => Promise<RayResponse>;

/** A head that is busy answers late; one that is away holds nobody up for longer. */
const timeoutMs = 5_000;

/** By an address, in which {namespace}, {cluster} and {service} stand for the cluster's. */
export function byAddress(template: string): Transport {
  return async (cluster, { method, path, body, token, signal }) => {
    const { name, namespace } = cluster.metadata;
    const base = template
      .replaceAll('{namespace}', namespace)
      .replaceAll('{cluster}', name)
      .replaceAll('{service}', headServiceName(name))
      .replaceAll('{port}', String(dashboardPort(cluster)))
      .replace(/\/$/, '');
    const response = await fetch(base + path, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    return { status: response.status, text: await response.text() };
  };
}

/** From within the cluster. */
export const byService = byAddress('http://{service}.{namespace}.svc.cluster.local:{port}');

/**
 * Through the API server, for an operator outside the cluster. The API server keeps `Authorization` for itself; Ray takes
 * the token from this header, too (ray/_private/authentication/http_token_authentication.py).
 */
export function byProxy(client: KubernetesClient): Transport {
  return (cluster, { method, path, body, token, signal }) => {
    const { name, namespace } = cluster.metadata;
    const service = `http:${headServiceName(name)}:${dashboardPort(cluster)}`;
    return client.proxied({
      method,
      path: `/api/v1/namespaces/${namespace}/services/${service}/proxy${path}`,
      headers: token ? { 'x-ray-authorization': `Bearer ${token}` } : {},
      ...(body === undefined ? {} : { body }),
      signal,
      timeoutMs,
    });
  };
}
