/** RayJobs as tests need them, and a world that does what their states want. */
import type { RayJobSpec } from '../../api/rayjob.js';
import type { Job, RayCluster, RayJob } from '../kubernetes-objects.js';
import { annotations } from '../names.js';
import { decide, type Patience } from '../rayjob/decide.js';
import { type Effect, effectsOf } from '../rayjob/effects.js';
import { asksRay, type Observed, type RayAnswer, stateOf } from '../rayjob/observation.js';
import { afterEvent, refreshed } from '../rayjob/status.js';
import { validateRayJob } from '../rayjob/validation.js';
import { aCluster } from './builders.js';

export const patience: Patience = { dashboardMs: 600_000, lostMs: 60_000 };

export function aJob(spec: Partial<RayJobSpec> = {}, metadata: Partial<RayJob['metadata']> = {}): RayJob {
  return {
    metadata: { name: 'train', namespace: 'team', uid: 'uid-train', generation: 1, ...metadata },
    spec: {
      entrypoint: 'python train.py',
      rayClusterSpec: aCluster().spec,
      submissionMode: 'HTTPMode',
      backoffLimit: 0,
      ttlSecondsAfterFinished: 0,
      ...spec,
    },
  };
}

const readyStatus: RayCluster['status'] = {
  state: 'ready',
  readyWorkerReplicas: 2,
  desiredWorkerReplicas: 2,
  conditions: [
    { type: 'HeadPodReady', status: 'True', reason: '', message: '', lastTransitionTime: '', observedGeneration: 1 },
  ],
};

/** Kubernetes and Ray, reduced to what a RayJob does to them: all obeys at once. Each submission is counted. */
export class JobWorld {
  nowMs = Date.parse('2026-11-27T08:00:00Z');
  readonly clusters = new Map<string, RayCluster>();
  /** Of each cluster's head: submissions by id. */
  readonly heads = new Map<string, Map<string, RayAnswer & { kind: 'job' }>>();
  submitter: Job | undefined;
  unreachable = false;
  isGone = false;
  readonly submissions: string[] = [];
  readonly states: string[] = [];
  private suffixes = 0;

  constructor(public job: RayJob) {}

  /** One look, as the controller does it: an event, or the effects of the state. */
  step(): Effect[] {
    const observed = this.observe();
    const event = decide(this.job, observed, patience);
    if (event) {
      this.job = { ...this.job, status: afterEvent(this.job, event, observed, () => `s${this.suffixes++}`) };
      this.states.push(stateOf(this.job));
      return [];
    }
    const effects = effectsOf(this.job, observed, undefined);
    for (const effect of effects) this.carryOut(effect);
    this.job = { ...this.job, status: refreshed(this.job, observed) };
    return effects;
  }

  settle(steps = 12): void {
    for (let step = 0; step < steps; step += 1) this.step();
  }

  observe(): Observed {
    const { rayClusterName = '', jobId = '' } = this.job.status ?? {};
    const cluster = this.clusters.get(rayClusterName);
    const isOfAttempt = this.submitter?.metadata.annotations?.[annotations.submissionId] === jobId;
    return {
      nowMs: this.nowMs,
      problems: validateRayJob(this.job, text => JSON.parse(text)),
      cluster,
      selected: undefined,
      submitter: isOfAttempt ? this.submitter : undefined,
      oldSubmitter: isOfAttempt ? undefined : this.submitter,
      ray: cluster && asksRay(this.job, cluster) ? this.answer(rayClusterName, jobId) : { kind: 'unasked' },
    };
  }

  private answer(cluster: string, jobId: string): RayAnswer {
    if (this.unreachable) return { kind: 'unreachable', message: 'connect ECONNREFUSED' };
    return this.heads.get(cluster)?.get(jobId) ?? { kind: 'unknown' };
  }

  /** What Ray does by itself. */
  becomes(status: (RayAnswer & { kind: 'job' })['status']): void {
    const { rayClusterName = '', jobId = '' } = this.job.status ?? {};
    this.heads.get(rayClusterName)?.set(jobId, { kind: 'job', status, message: '' });
  }

  submit(jobId: string): void {
    if (this.unreachable) return;
    this.submissions.push(jobId);
    this.heads.get(this.job.status?.rayClusterName ?? '')?.set(jobId, { kind: 'job', status: 'RUNNING', message: '' });
  }

  private carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'hold':
        this.job = { ...this.job, metadata: { ...this.job.metadata, finalizers: ['ray.io/rayjob-finalizer'] } };
        break;
      case 'create': {
        const { metadata, kind, spec } = effect.manifest;
        const meta = { ...metadata, uid: `uid-${this.suffixes++}` };
        if (kind === 'Job') this.submitter = { metadata: meta };
        else {
          const cluster = { metadata: meta, spec: spec as RayCluster['spec'], status: readyStatus } as RayCluster;
          this.clusters.set(metadata.name, cluster);
          this.heads.set(metadata.name, new Map());
        }
        break;
      }
      case 'submit':
        this.submit(this.job.status?.jobId ?? '');
        break;
      case 'stop':
        if (!this.unreachable) this.becomes('STOPPED');
        break;
      case 'deleteCluster':
        this.clusters.delete(effect.cluster.metadata.name);
        this.heads.delete(effect.cluster.metadata.name);
        break;
      case 'deleteSubmitter':
        this.submitter = undefined;
        break;
      case 'suspendWorkers': {
        const { cluster, suspend } = effect;
        const workerGroupSpecs = cluster.spec.workerGroupSpecs?.map(group => ({ ...group, suspend }));
        this.clusters.set(cluster.metadata.name, { ...cluster, spec: { ...cluster.spec, workerGroupSpecs } });
        break;
      }
      case 'deleteSelf':
        this.isGone = true;
        break;
    }
  }
}
