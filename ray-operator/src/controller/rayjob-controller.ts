/** RayJobs: what is seen of each → an event of its state machine, or what its state wants done. */
import { parse } from 'yaml';
import type { RayJobStatus } from '../api/rayjob.js';
import type { Job, RayCluster, RayJob } from '../core/kubernetes-objects.js';
import { isOurs } from '../core/managed-by.js';
import { annotations, finalizer, labels } from '../core/names.js';
import { decide, type JobEvent, type Patience } from '../core/rayjob/decide.js';
import { effectsOf } from '../core/rayjob/effects.js';
import { asksRay, mayRelease, type Observed, type RayAnswer, stateOf } from '../core/rayjob/observation.js';
import { nextLookMs } from '../core/rayjob/pace.js';
import { afterEvent, refreshed } from '../core/rayjob/status.js';
import { validateRayJob } from '../core/rayjob/validation.js';
import { canonical } from '../core/spec-hash.js';
import type { Informer } from '../kubernetes/informer.js';
import { resources } from '../kubernetes/resources.js';
import type { JobsApi } from '../ray/jobs-api.js';
import { KindController, type KindSettings } from './kind-controller.js';
import { originKeyOf } from './local-copies.js';
import { RayJobEffects } from './rayjob-effects.js';
import { newSuffix } from './suffix.js';

export interface RayJobControllerOptions extends KindSettings {
  rayJobs: Informer<RayJob>;
  jobs: Informer<Job>;
  clusters: Informer<RayCluster>;
  jobsApi: JobsApi;
  pollMs: number;
  patience: Patience;
}

const kind = 'RayJob';

export class RayJobController extends KindController<RayJobStatus, RayJob> {
  private readonly effects: RayJobEffects;
  /** Submissions that Ray will not take, by attempt: lost with the process, and found again by the next try. */
  private readonly refusals = new Map<string, RayAnswer>();

  constructor(private readonly options: RayJobControllerOptions) {
    super({ apiVersion: 'ray.io/v1', kind, resource: resources.rayJobs, objects: options.rayJobs }, options);
    const { client, signal, jobsApi } = options;
    this.effects = new RayJobEffects({ client, signal, events: this.events, jobsApi });
    this.follow();
  }

  protected override forget(key: string): void {
    this.refusals.delete(key);
  }

  private follow(): void {
    const { jobs, clusters } = this.options;
    const { queue } = this;
    const owned = (_change: unknown, object: Job | RayCluster) => {
      const key = originKeyOf(object, kind);
      if (key !== undefined) queue.add(key);
    };
    jobs.onChange(owned);
    clusters.onChange(owned);
  }

  protected async reconcile(key: string): Promise<void> {
    const known = this.options.rayJobs.objects.get(key);
    if (!known || !isOurs(known.spec)) return;
    const job = this.statuses.newest(known);
    if (job.metadata.deletionTimestamp) return this.finalize(key, job);
    const observed = await this.observe(key, job);
    const event = decide(job, observed, this.options.patience);
    if (event) {
      await this.statuses.write(job, afterEvent(job, event, observed, newSuffix));
      this.refusals.delete(key);
      this.tell(job, event);
      this.queue.add(key);
      return;
    }
    const { spec } = job;
    const runtimeEnv = spec.runtimeEnvYAML && observed.problems.length === 0 ? parse(spec.runtimeEnvYAML) : undefined;
    const answer = await this.effects.carryOut(job, effectsOf(job, observed, runtimeEnv), runtimeEnv);
    if (answer?.kind === 'refused') this.refusals.set(key, answer);
    const seen = answer && answer.kind !== 'unasked' ? { ...observed, ray: answer } : observed;
    const status = refreshed(job, seen);
    if (stateOf(job) !== '' && canonical(status) !== canonical(job.status)) await this.statuses.write(job, status);
    // What was just submitted is asked for at once.
    const waitMs = answer && answer.kind !== 'unreachable' ? 0 : nextLookMs(job, seen, this.options.pollMs);
    if (waitMs !== undefined) this.queue.addAfter(key, waitMs);
  }

  private async observe(key: string, job: RayJob): Promise<Observed> {
    const { clusters, jobs, jobsApi, signal } = this.options;
    const { namespace } = job.metadata;
    const { rayClusterName, jobId = '' } = job.status ?? {};
    const cluster = rayClusterName ? clusters.objects.get(`${namespace}/${rayClusterName}`) : undefined;
    const submitters = jobs
      .ownedBy(key)
      .filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === job.metadata.uid));
    const isOfAttempt = ({ metadata }: Job) => metadata.annotations?.[annotations.submissionId] === jobId;
    const refusal = this.refusals.get(key);
    const ray = async (): Promise<RayAnswer> =>
      cluster && asksRay(job, cluster) ? jobsApi.job(cluster, jobId, signal) : { kind: 'unasked' };
    return {
      // The specification is looked at before anything has begun; after that a change to it changes nothing.
      problems: stateOf(job) === '' ? validateRayJob(job, parse) : [],
      cluster,
      selected: this.selected(job),
      submitter: submitters.find(isOfAttempt),
      oldSubmitter: submitters.find(each => !isOfAttempt(each)),
      ray: refusal ?? (await ray()),
      nowMs: Date.now(),
    };
  }

  /** The first by name of those that are ready, else of all, so that every look finds the same. */
  private selected({ spec, metadata }: RayJob): RayCluster | undefined {
    const selector = Object.entries(spec.clusterSelector ?? {});
    if (selector.length === 0) return undefined;
    const byName = selector.find(([label]) => label === labels.cluster)?.[1];
    const matching = [...this.options.clusters.objects.values()].filter(
      cluster =>
        cluster.metadata.namespace === metadata.namespace &&
        !cluster.metadata.deletionTimestamp &&
        selector.every(
          ([label, value]) =>
            cluster.metadata.labels?.[label] === value ||
            (label === labels.cluster && cluster.metadata.name === byName),
        ),
    );
    const rank = ({ metadata, status }: RayCluster) => `${status?.state === 'ready' ? 0 : 1}${metadata.name}`;
    return matching.sort((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
  }

  private async finalize(key: string, job: RayJob): Promise<void> {
    if (!job.metadata.finalizers?.includes(finalizer)) return;
    const observed = await this.observe(key, job);
    const { ray, cluster } = observed;
    const jobId = job.status?.jobId;
    if (cluster && jobId && ray.kind === 'job' && asksRay(job, cluster)) {
      const { jobsApi, signal, log } = this.options;
      await jobsApi.stop(cluster, jobId, signal).catch((err: unknown) => log.warn({ rayjob: key, err }, 'not stopped'));
    }
    if (mayRelease(job, observed)) await this.effects.release(job);
    else this.queue.addAfter(key, this.options.pollMs);
  }

  private tell(job: RayJob, { name, reason, message = '' }: JobEvent): void {
    const isTrouble = name === 'refuse' || name === 'fail' || name === 'retry';
    const text = { refuse: 'InvalidRayJobSpec', fail: 'RayJobFailed', retry: 'RayJobRetrying' } as const;
    if (isTrouble) this.events.record(job, 'Warning', text[name], `${reason}: ${message}`);
    else if (name === 'succeed') this.events.record(job, 'Normal', 'RayJobSucceeded', message);
    else if (name === 'suspend') this.events.record(job, 'Normal', 'RayJobSuspending', 'as its spec asks');
  }
}
