/**
 * The route table: every path that the control plane answers, with the one permission that it demands.
 * Express, the OpenAPI document, the command line and the attack test all read this table, so no route can exist that
 * is not in it. Ray-compatible routes (`ray: true`) answer errors as a Ray head does; the others with problem documents.
 */
import { z } from 'zod';
import * as accounts from './accounts.js';
import { cluster, clusterSpec, dashboardLink, scaleRequest } from './clusters.js';
import { event } from './events.js';
import * as ids from './ids.js';
import { job, jobPhase, rayJobDetails } from './jobs.js';
import { drainNode, enrolNode, node } from './nodes.js';
import type { Permission } from './permissions.js';

export type Method = 'get' | 'post' | 'put' | 'delete' | 'all';
/** `public`: anyone. `authenticated`: any valid key. */
export type Access = Permission | 'public' | 'authenticated';

export interface Route {
  method: Method;
  /** As in OpenAPI: `/v1/clusters/{clusterId}`. A path that ends in `/*` stands for all below it. */
  path: string;
  access: Access;
  summary: string;
  tag: 'jobs' | 'ray' | 'clusters' | 'nodes' | 'accounts' | 'events' | 'platform';
  params?: z.ZodObject;
  query?: z.ZodObject;
  /** JSON body. Absent: no body, or one that the handler streams itself. */
  body?: z.ZodType;
  status: number;
  /** JSON answer; null: none, or one that is no JSON. */
  response: z.ZodType | null;
  contentType?: string;
  /** Answers in the shapes of a Ray head. */
  ray?: boolean;
  /** Honours the Idempotency-Key header. */
  idempotent?: boolean;
}

const list = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), next: z.string().nullable().describe('pass as `after` for the next page') });
const page = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100), after: z.string().optional() });
const clusterParams = z.object({ clusterId: ids.clusterId });
const jobParams = z.object({ submissionId: z.string().min(1).max(512) });
const packageParams = z.object({ protocol: z.string(), name: z.string() });

export const api = {
  // Ray Jobs API: what `ray job …`, JobSubmissionClient and curl call on a head.
  rayVersion: {
    method: 'get',
    path: '/api/version',
    access: 'jobs:read',
    summary: 'Jobs API and Ray version',
    tag: 'ray',
    status: 200,
    response: z.object({
      version: z.string(),
      ray_version: z.string(),
      ray_commit: z.string(),
      session_name: z.string(),
    }),
    ray: true,
  },
  rayListJobs: {
    method: 'get',
    path: '/api/jobs/',
    access: 'jobs:read',
    summary: 'All jobs of the tenant',
    tag: 'ray',
    status: 200,
    response: z.array(rayJobDetails),
    ray: true,
  },
  raySubmitJob: {
    method: 'post',
    path: '/api/jobs/',
    access: 'jobs:write',
    summary: 'Submit a job; durable once answered',
    tag: 'ray',
    status: 200,
    response: z.object({ job_id: z.string(), submission_id: z.string() }),
    ray: true,
  },
  rayGetJob: {
    method: 'get',
    path: '/api/jobs/{submissionId}',
    access: 'jobs:read',
    summary: 'One job',
    tag: 'ray',
    params: jobParams,
    status: 200,
    response: rayJobDetails,
    ray: true,
  },
  rayStopJob: {
    method: 'post',
    path: '/api/jobs/{submissionId}/stop',
    access: 'jobs:write',
    summary: 'Stop a job',
    tag: 'ray',
    params: jobParams,
    status: 200,
    response: z.object({ stopped: z.boolean() }),
    ray: true,
  },
  rayDeleteJob: {
    method: 'delete',
    path: '/api/jobs/{submissionId}',
    access: 'jobs:write',
    summary: 'Delete a job that has ended',
    tag: 'ray',
    params: jobParams,
    status: 200,
    response: z.object({ deleted: z.boolean() }),
    ray: true,
  },
  rayJobLogs: {
    method: 'get',
    path: '/api/jobs/{submissionId}/logs',
    access: 'jobs:read',
    summary: 'The whole log of a job',
    tag: 'ray',
    params: jobParams,
    status: 200,
    response: z.object({ logs: z.string() }),
    ray: true,
  },
  rayTailJobLogs: {
    method: 'get',
    path: '/api/jobs/{submissionId}/logs/tail',
    access: 'jobs:read',
    summary: 'Follow the log (WebSocket, text frames)',
    tag: 'ray',
    params: jobParams,
    status: 101,
    response: null,
    ray: true,
  },
  rayHasPackage: {
    method: 'get',
    path: '/api/packages/{protocol}/{name}',
    access: 'jobs:write',
    summary: 'Is the runtime-env package stored?',
    tag: 'ray',
    params: packageParams,
    status: 200,
    response: null,
    ray: true,
  },
  rayPutPackage: {
    method: 'put',
    path: '/api/packages/{protocol}/{name}',
    access: 'jobs:write',
    summary: 'Store a runtime-env package',
    tag: 'ray',
    params: packageParams,
    status: 200,
    response: null,
    ray: true,
  },

  // Jobs as this control plane sees them.
  listJobs: {
    method: 'get',
    path: '/v1/jobs',
    access: 'jobs:read',
    summary: 'Jobs, newest first',
    tag: 'jobs',
    query: page.extend({ phase: jobPhase.optional() }),
    status: 200,
    response: list(job),
  },
  getJob: {
    method: 'get',
    path: '/v1/jobs/{submissionId}',
    access: 'jobs:read',
    summary: 'One job with its attempts',
    tag: 'jobs',
    params: jobParams,
    status: 200,
    response: job,
  },

  createCluster: {
    method: 'post',
    path: '/v1/clusters',
    access: 'clusters:write',
    summary: 'Create a cluster',
    tag: 'clusters',
    body: clusterSpec,
    status: 201,
    response: cluster,
    idempotent: true,
  },
  listClusters: {
    method: 'get',
    path: '/v1/clusters',
    access: 'clusters:read',
    summary: 'Clusters, newest first',
    tag: 'clusters',
    query: page.extend({ deleted: z.stringbool().default(false).describe('with the deleted ones') }),
    status: 200,
    response: list(cluster),
  },
  getCluster: {
    method: 'get',
    path: '/v1/clusters/{clusterId}',
    access: 'clusters:read',
    summary: 'One cluster',
    tag: 'clusters',
    params: clusterParams,
    status: 200,
    response: cluster,
  },
  scaleCluster: {
    method: 'post',
    path: '/v1/clusters/{clusterId}/scale',
    access: 'clusters:write',
    summary: 'Set the size of a worker group',
    tag: 'clusters',
    params: clusterParams,
    body: scaleRequest,
    status: 200,
    response: cluster,
    idempotent: true,
  },
  stopCluster: {
    method: 'post',
    path: '/v1/clusters/{clusterId}/stop',
    access: 'clusters:write',
    summary: 'Stop the machines, keep the cluster',
    tag: 'clusters',
    params: clusterParams,
    status: 200,
    response: cluster,
    idempotent: true,
  },
  startCluster: {
    method: 'post',
    path: '/v1/clusters/{clusterId}/start',
    access: 'clusters:write',
    summary: 'Start a stopped cluster',
    tag: 'clusters',
    params: clusterParams,
    status: 200,
    response: cluster,
    idempotent: true,
  },
  deleteCluster: {
    method: 'delete',
    path: '/v1/clusters/{clusterId}',
    access: 'clusters:write',
    summary: 'Delete a cluster',
    tag: 'clusters',
    params: clusterParams,
    status: 200,
    response: cluster,
    idempotent: true,
  },
  createDashboardLink: {
    method: 'post',
    path: '/v1/clusters/{clusterId}/dashboard-link',
    access: 'clusters:read',
    summary: 'A short-lived link that logs a browser in to the Ray dashboard',
    tag: 'clusters',
    params: clusterParams,
    status: 201,
    response: dashboardLink,
  },
  clusterLogin: {
    method: 'get',
    path: '/clusters/{clusterId}/login',
    access: 'public',
    summary: 'Log a browser in by a dashboard link, once, and go on to the dashboard',
    tag: 'clusters',
    params: clusterParams,
    query: z.object({ link: z.string().max(2048) }),
    status: 303,
    response: null,
    contentType: 'text/html',
  },
  clusterDashboardRoot: {
    method: 'get',
    path: '/clusters/{clusterId}/dashboard',
    access: 'public',
    summary: 'To the same path with its slash, which the dashboard’s relative links need',
    tag: 'clusters',
    params: clusterParams,
    status: 308,
    response: null,
    contentType: 'text/html',
  },
  clusterDashboard: {
    method: 'all',
    path: '/clusters/{clusterId}/dashboard/*',
    access: 'clusters:read',
    summary: 'The cluster’s own Ray dashboard and Jobs address (GET and HEAD need clusters:read, all else jobs:write)',
    tag: 'clusters',
    params: clusterParams,
    status: 200,
    response: null,
  },

  listNodes: {
    method: 'get',
    path: '/v1/nodes',
    access: 'nodes:read',
    summary: 'Machines of the tenant',
    tag: 'nodes',
    query: page,
    status: 200,
    response: list(node),
  },
  getNode: {
    method: 'get',
    path: '/v1/nodes/{nodeId}',
    access: 'nodes:read',
    summary: 'One machine',
    tag: 'nodes',
    params: z.object({ nodeId: ids.nodeId }),
    status: 200,
    response: node,
  },
  enrolNode: {
    method: 'post',
    path: '/v1/nodes',
    access: 'nodes:write',
    summary: 'Enrol a machine by its device key',
    tag: 'nodes',
    body: enrolNode,
    status: 201,
    response: node,
    idempotent: true,
  },
  removeNode: {
    method: 'delete',
    path: '/v1/nodes/{nodeId}',
    access: 'nodes:write',
    summary: 'Remove a machine that has no lease',
    tag: 'nodes',
    params: z.object({ nodeId: ids.nodeId }),
    status: 200,
    response: node,
  },

  drainNode: {
    method: 'post',
    path: '/v1/nodes/{nodeId}/drain',
    access: 'nodes:write',
    summary: 'Move the work of a machine away and give it no new one',
    tag: 'nodes',
    params: z.object({ nodeId: ids.nodeId }),
    body: drainNode,
    status: 200,
    response: node,
  },
  undrainNode: {
    method: 'post',
    path: '/v1/nodes/{nodeId}/undrain',
    access: 'nodes:write',
    summary: 'Let a machine take work again',
    tag: 'nodes',
    params: z.object({ nodeId: ids.nodeId }),
    status: 200,
    response: node,
  },

  listEvents: {
    method: 'get',
    path: '/v1/events',
    access: 'events:read',
    summary: 'History, oldest first',
    tag: 'events',
    query: z.object({
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      after: z.coerce.number().int().min(0).default(0),
      subject: z.string().optional(),
    }),
    status: 200,
    response: list(event),
  },
  streamEvents: {
    method: 'get',
    path: '/v1/events/stream',
    access: 'events:read',
    summary: 'History and then live (server-sent events; Last-Event-ID resumes)',
    tag: 'events',
    query: z.object({ after: z.coerce.number().int().min(0).optional(), subject: z.string().optional() }),
    status: 200,
    response: null,
    contentType: 'text/event-stream',
  },

  whoami: {
    method: 'get',
    path: '/v1/whoami',
    access: 'authenticated',
    summary: 'Who the key stands for',
    tag: 'accounts',
    status: 200,
    response: accounts.whoami,
  },
  createTenant: {
    method: 'post',
    path: '/v1/tenants',
    access: 'tenants:write',
    summary: 'Create a tenant with its owner and the owner’s first key',
    tag: 'accounts',
    body: accounts.createTenant,
    status: 201,
    response: accounts.newTenant,
  },
  listUsers: {
    method: 'get',
    path: '/v1/users',
    access: 'accounts:read',
    summary: 'Users of the tenant',
    tag: 'accounts',
    query: page,
    status: 200,
    response: list(accounts.user),
  },
  createUser: {
    method: 'post',
    path: '/v1/users',
    access: 'accounts:write',
    summary: 'Create a user',
    tag: 'accounts',
    body: accounts.createUser,
    status: 201,
    response: accounts.user,
  },
  listApiKeys: {
    method: 'get',
    path: '/v1/api-keys',
    access: 'accounts:read',
    summary: 'API keys of the tenant, without their secrets',
    tag: 'accounts',
    query: page,
    status: 200,
    response: list(accounts.apiKey),
  },
  createApiKey: {
    method: 'post',
    path: '/v1/api-keys',
    access: 'accounts:write',
    summary: 'Create an API key; its secret is shown once',
    tag: 'accounts',
    body: accounts.createApiKey,
    status: 201,
    response: accounts.newApiKey,
  },
  revokeApiKey: {
    method: 'delete',
    path: '/v1/api-keys/{keyId}',
    access: 'accounts:write',
    summary: 'Revoke an API key at once',
    tag: 'accounts',
    params: z.object({ keyId: ids.apiKeyId }),
    status: 200,
    response: accounts.apiKey,
  },

  health: {
    method: 'get',
    path: '/healthz',
    access: 'public',
    summary: 'The process lives',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/plain',
  },
  ready: {
    method: 'get',
    path: '/readyz',
    access: 'public',
    summary: 'It can serve: PostgreSQL answers, Redis answers',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/plain',
  },
  metrics: {
    method: 'get',
    path: '/metrics',
    access: 'metrics:read',
    summary: 'Prometheus metrics',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/plain',
  },
  openapi: {
    method: 'get',
    path: '/openapi.json',
    access: 'public',
    summary: 'This document',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'application/json',
  },
  docs: {
    method: 'get',
    path: '/docs/*',
    access: 'public',
    summary: 'This document as a page',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/html',
  },
  home: {
    method: 'get',
    path: '/',
    access: 'public',
    summary: 'First page: how to use this address, log in',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/html',
  },
  login: {
    method: 'post',
    path: '/login',
    access: 'public',
    summary: 'Log a browser in with an API key (form)',
    tag: 'platform',
    status: 303,
    response: null,
    contentType: 'text/html',
  },
  clustersPage: {
    method: 'get',
    path: '/clusters/',
    access: 'public',
    summary: 'The tenant’s clusters and their dashboards, as a page (asks for login)',
    tag: 'platform',
    status: 200,
    response: null,
    contentType: 'text/html',
  },
} as const satisfies Record<string, Route>;
export type OperationId = keyof typeof api;

type Parsed<R, K extends 'params' | 'query' | 'body'> =
  R extends Record<K, infer S extends z.ZodType> ? z.output<S> : undefined;
export type ParamsOf<R> = Parsed<R, 'params'>;
export type QueryOf<R> = Parsed<R, 'query'>;
export type BodyOf<R> = Parsed<R, 'body'>;
export type ResponseOf<R> = R extends { response: infer S extends z.ZodType } ? z.output<S> : undefined;
