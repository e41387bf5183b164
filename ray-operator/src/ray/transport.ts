/** How the operator reaches the REST API of a cluster's head. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
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
    const text = body === undefined ? undefined : JSON.stringify(body);
    const url = new URL(base + path);
    const headers = {
      accept: 'application/json',
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    };
    // Not `fetch`: its Sec-Fetch headers are those of a browser, from which Ray takes no POST and no PUT.
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    return new Promise((resolve, reject) => {
      const request = send(url, { method, headers, signal: limited }, response => {
        let answer = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          answer += chunk;
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }));
      });
      request.on('error', reject);
      request.end(text);
    });
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
