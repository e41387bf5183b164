/**
 * Jobs: the Ray Jobs API in front, a durable queue behind it, and the attempts that run on clusters.
 *
 * - submission.ts, admission.ts, routes.ts, listing.ts, change.ts
 *                                          what comes in over HTTP and how it is answered
 * - dispatch.ts                            gives queued jobs their places (decided in core/queueing)
 * - rating.ts                              what renters think of how a job went
 * - attempts/                              sees each attempt through on its head
 * - logs/, packages/                       what jobs say, and what they bring along
 * - states.ts, ray-view.ts                 the lives of jobs as tables, and as Ray shows them
 */
import type { ClusterActivity, Clusters } from '../clusters/ports.js';
import type { TenantTerms } from '../core/queueing/index.js';
import type { Reputation } from '../inventory/ports.js';
import {
  type Config,
  type Database,
  type Http,
  type Logger,
  type Queryable,
  type Signals,
  type TopicHandler,
  Turns,
} from '../platform/index.js';
import { clusterActivity } from './activity.js';
import { AttemptMonitors } from './attempts/index.js';
import { jobChangeRoutes } from './change.js';
import { Checkpoints } from './checkpoints.js';
import { Dispatcher } from './dispatch.js';
import { explainRoutes } from './explain.js';
import { Heads } from './head.js';
import { jobListingRoutes } from './listing.js';
import { LogTails } from './logs/index.js';
import { PackageStore, packageRoutes } from './packages/index.js';
import { QuotaGate } from './quota-gate.js';
import { ratingRoutes } from './rating.js';
import { rayCommit, sessionName } from './ray-release.js';
import { rayJobRoutes } from './routes.js';
import type { RandomBytes } from './store.js';
import { JobTraces, type TellSpans } from './tracing.js';

export { attemptTimes } from './attempt-times.js';
export { type Eviction, evictAttempt } from './attempts/index.js';
export { type HeldAttempt, heldAttempts } from './held.js';
export { jobState } from './metrics.js';
export { queueUseOf } from './queue-use.js';
export { attemptTransitions, jobTransitions } from './states.js';

export interface JobsWiring {
  config: Pick<
    Config,
    | 'dataDir'
    | 'checkpointRoot'
    | 'rayVersion'
    | 'maxPackageBytes'
    | 'packageTtlSeconds'
    | 'maxJobLogBytes'
    | 'maxJobsPerCluster'
  >;
  database: Database;
  signals: Signals;
  log: Logger;
  clusters: Clusters;
  reputation: Reputation;
  /** The terms of those tenants whose terms are not the usual. */
  queueTermsOf(db: Queryable): Promise<TenantTerms[]>;
  random: RandomBytes;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Absent: nobody traces. */
  tellSpans?: TellSpans | undefined;
}

export interface Jobs {
  /** Binds all Ray routes and /v1/jobs. */
  routes(http: Http): void;
  dispatch: TopicHandler;
  attempt: TopicHandler;
  activity: ClusterActivity;
  /** Stops following attempts and logs; the jobs go on where they run. */
  stop(): Promise<void>;
}

const fileSweepIntervalMs = 600_000;

export function createJobs(wiring: JobsWiring): Jobs {
  const { config, database, log, random, signals, clusters, now } = wiring;
  const heads = new Heads(clusters);
  const quotas = new QuotaGate(wiring);
  const packages = new PackageStore(database, config.dataDir, config.maxPackageBytes, random);
  const checkpoints = new Checkpoints(config.checkpointRoot, database, log);
  const tails = new LogTails(database, signals, log);
  const dispatch = new Dispatcher(wiring);
  const attempt = new AttemptMonitors({
    ...wiring,
    heads,
    packages,
    checkpoints,
    maxJobLogBytes: config.maxJobLogBytes,
  });
  const traces = wiring.tellSpans ? new JobTraces(database, wiring.tellSpans, log) : null;
  const fileTurns = new Turns('forget-files', fileSweepIntervalMs);
  const sweepFiles = () =>
    void fileTurns
      .count(() => Promise.all([packages.sweep(config.packageTtlSeconds, now()), checkpoints.sweep(now())]))
      .catch((error: unknown) => log.warn({ err: error }, 'unused files could not be swept; it is tried again'));
  const sweeper = setInterval(sweepFiles, fileSweepIntervalMs);
  sweeper.unref();
  const version = {
    version: '4',
    ray_version: config.rayVersion,
    ray_commit: rayCommit(config.rayVersion),
    session_name: sessionName(new Date(now()), process.pid),
  };
  return {
    routes: http => {
      const parts = { database, clusters, quotas, heads, checkpoints, signals, log, random, now };
      rayJobRoutes(http, { ...parts, version, tellSpans: wiring.tellSpans ?? (() => undefined) });
      packageRoutes(http, packages);
      tails.bind(http);
      jobListingRoutes(http, database);
      jobChangeRoutes(http, { ...wiring, quotas });
      explainRoutes(http, { database, clusters, dispatch, now });
      ratingRoutes(http, wiring);
    },
    dispatch,
    attempt,
    activity: clusterActivity,
    stop: async () => {
      clearInterval(sweeper);
      tails.stop();
      dispatch.stop();
      await attempt.stop();
      await traces?.stop();
    },
  };
}
