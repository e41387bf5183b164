/**
 * Sees one attempt through: hands the job to its head, follows its status and its log, and ends it. Everything that it
 * does can be done again, so it may be killed anywhere and started anew: what has been done is read from PostgreSQL and
 * from the head.
 */
import type { AttemptId, ClusterId, RayJobDetails } from '@iocloud/contracts';
import type { Clusters } from '../../clusters/ports.js';
import type { Reputation } from '../../inventory/ports.js';
import { addIds, type Database, type Logger, type Signals } from '../../platform/index.js';
import type { Checkpoints } from '../checkpoints.js';
import { type Heads, HeadTrouble } from '../head.js';
import { LogCopier } from '../logs/index.js';
import { handOver, type PackageStore } from '../packages/index.js';
import type { JobRow, RandomBytes } from '../store.js';
import { traceOfJob } from '../trace-ids.js';
import { advanceAttempt } from './advance.js';
import { asEviction, endOf } from './ends.js';
import { withEnvironment } from './environment.js';
import { noteEvidence } from './evidence.js';
import type { HeadStatuses } from './head-statuses.js';
import { pollIntervalMs } from './polling.js';
import { AttemptRecord } from './record.js';
import { type AttemptEnd, type AttemptRow, endAttempt, markSent, renameAttempt, reportEnd } from './store.js';

export interface MonitorWiring {
  database: Database;
  clusters: Clusters;
  reputation: Reputation;
  heads: Heads;
  packages: PackageStore;
  checkpoints: Checkpoints;
  signals: Signals;
  log: Logger;
  random: RandomBytes;
  maxJobLogBytes: number;
  now(): number;
  statuses: HeadStatuses;
  /** How many attempts this process follows on a cluster. */
  followedOn(clusterId: ClusterId): number;
  /** On how many clusters it follows any. */
  clustersFollowed(): number;
  /** This one, too, is followed there. */
  joined(clusterId: ClusterId): void;
}

const attemptKey = 'io.attempt';
const troubleIntervalMs = 500;
const unreachableIntervalMs = 1_000;
const stopIntervalMs = 3_000;
/** A head that has not taken the job's packages after so long, though it is up, is given up. */
const startLimitMs = 120_000;
/** So many answers "no such job" in a row before it is believed. */
const maxMissing = 3;
/** So often the rest of a log is asked for after its head has gone. */
const maxRestTries = 6;
/** Ray writes the reason of some failures into the log just after it has reported them. */
const lateWordMs = 400;

/** `wait`: look again after so long; `done`: the attempt has ended. */
type Step = { wait: number } | 'done';

export class AttemptMonitor {
  clusterId: ClusterId | undefined;
  #copier: LogCopier | undefined;
  #stopped = false;
  #poked = false;
  readonly #record: AttemptRecord;
  #wakeUp: () => void = () => undefined;
  #startedAtMs: number;
  #statusSinceMs: number;
  #stopAskedAtMs = 0;
  #missing = 0;
  #restTries = 0;
  #seen = '';
  /** What the head said last. */
  #status: RayJobDetails['status'] | undefined;

  constructor(
    readonly wiring: MonitorWiring,
    readonly id: AttemptId,
  ) {
    this.#record = new AttemptRecord(wiring, id);
    this.#startedAtMs = wiring.now();
    this.#statusSinceMs = wiring.now();
  }

  /** Resolves when the attempt has ended, or after `stop`. Never throws. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      let step: Step;
      try {
        step = await this.#step();
      } catch (error) {
        const { log } = this.wiring;
        if (error instanceof HeadTrouble)
          log.debug({ attempt: this.id, error: error.message }, 'the head is in trouble');
        else log.warn({ attempt: this.id, err: error }, 'an attempt could not be followed and will be tried again');
        this.#record.forget();
        step = { wait: troubleIntervalMs };
      }
      if (step === 'done') break;
      await this.#pause(step.wait);
    }
    await this.#copier?.stop().catch(error => this.wiring.log.warn({ err: error }, 'a log copy ended badly'));
  }

  /** There is news: look at once. */
  poke(): void {
    this.#poked = true;
    this.#record.forget();
    this.#wakeUp();
  }

  /** A list of the head's has come: if it says of this job what the last answer did not, it is looked at at once. */
  hear(jobs: ReadonlyMap<string, RayJobDetails>): void {
    const status = jobs.get(this.#record.kept?.attempt.ray_submission_id ?? '')?.status;
    if (status === undefined || status === this.#status) return;
    this.#poked = true;
    this.#wakeUp();
  }

  stop(): void {
    this.#stopped = true;
    this.#wakeUp();
  }

  async #step(): Promise<Step> {
    this.#poked = false;
    const onRecord = await this.#record.read();
    if (!onRecord) return 'done';
    const { attempt, job, head } = onRecord;
    const { traceId: trace_id } = traceOfJob(job);
    addIds({ trace_id, job: job.id, submission_id: job.submission_id, cluster: attempt.cluster_id });
    if (this.clusterId === undefined) {
      this.clusterId = attempt.cluster_id;
      this.wiring.joined(attempt.cluster_id);
    }
    if (attempt.reported) return this.#finish(attempt, endOf(attempt.reported), null);
    if (head === 'gone' || head === 'lost') {
      const message = head === 'gone' ? 'the head of its cluster has ended.' : 'its machine is lost.';
      return this.#finish(attempt, { outcome: 'lost', message, errorType: null, details: null }, head);
    }
    if (head === 'unreachable') return { wait: unreachableIntervalMs };
    if (attempt.phase === 'assigned') return this.#start(attempt, job);
    this.#copierOf(attempt).follow();
    if (job.phase === 'stopping' || attempt.evict_reason !== null) await this.#askToStop(attempt);
    const maxAgeMs = this.#intervalMs(attempt);
    const details = await this.wiring.statuses.of(attempt.cluster_id, attempt.ray_submission_id, maxAgeMs);
    return details ? this.#heard(attempt, job, details) : this.#unknown(attempt);
  }

  #intervalMs({ cluster_id: clusterId }: AttemptRow): number {
    const { now, followedOn, clustersFollowed } = this.wiring;
    return pollIntervalMs(now() - this.#statusSinceMs, followedOn(clusterId), clustersFollowed());
  }

  async #start(attempt: AttemptRow, job: JobRow): Promise<Step> {
    const { heads, packages, random, database, checkpoints } = this.wiring;
    const end = (outcome: AttemptEnd['outcome'], message: string, errorType: string | null = null) =>
      this.#finish(attempt, { outcome, message, errorType, details: null }, null);
    if (job.phase === 'stopping' || attempt.evict_reason !== null) {
      const known = attempt.sent_at === null ? null : await heads.job(attempt.cluster_id, attempt.ray_submission_id);
      if (known?.metadata?.[attemptKey] === attempt.id) return this.#accepted(attempt);
      this.#missing += 1;
      if (attempt.sent_at !== null && this.#missing < maxMissing) return { wait: troubleIntervalMs };
      return end('stopped', 'Job was intentionally stopped.');
    }
    try {
      const refusal = await handOver(heads, packages, attempt.cluster_id, job.tenant_id, job.packages);
      if (refusal) return end('failed', refusal, 'RUNTIME_ENV_SETUP_FAILURE');
    } catch (error) {
      const late = this.wiring.now() - this.#startedAtMs >= startLimitMs;
      if (!(error instanceof HeadTrouble) || !late || attempt.sent_at !== null) throw error;
      return end('lost', `the head would not take its packages within ${startLimitMs / 1000} s: ${error.message}`);
    }
    await checkpoints.make(job);
    // From here on it may run, however slowly the head answers: only the head, or the loss of it, ends the attempt.
    if (!(await markSent(database, attempt.id))) return 'done';
    const submission = withEnvironment(job, attempt.number, checkpoints.root);
    const result = await heads.submit(attempt.cluster_id, {
      ...submission,
      submission_id: attempt.ray_submission_id,
      metadata: { ...submission.metadata, [attemptKey]: attempt.id },
    });
    if (result === 'accepted') return this.#accepted(attempt);
    if (result !== 'exists') return end('failed', result.refused);
    // Sent before a crash, by us; or somebody's own job of this id, which is left alone.
    const known = await heads.job(attempt.cluster_id, attempt.ray_submission_id);
    if (known?.metadata?.[attemptKey] === attempt.id) return this.#accepted(attempt);
    await renameAttempt(database, attempt, `${job.submission_id}.${attempt.number}-${random(4).toString('hex')}`);
    this.#record.forget();
    return { wait: 0 };
  }

  async #accepted(attempt: AttemptRow): Promise<Step> {
    await advanceAttempt(this.wiring.database, attempt, 'accepted', null, this.#date());
    this.#record.forget();
    this.#statusSinceMs = this.wiring.now();
    return { wait: 0 };
  }

  async #askToStop(attempt: AttemptRow): Promise<void> {
    if (this.wiring.now() - this.#stopAskedAtMs < stopIntervalMs) return;
    this.#stopAskedAtMs = this.wiring.now();
    await this.wiring.heads.stop(attempt.cluster_id, attempt.ray_submission_id);
  }

  async #heard(attempt: AttemptRow, job: JobRow, details: RayJobDetails): Promise<Step> {
    this.#missing = 0;
    this.#status = details.status;
    if (details.status === 'SUCCEEDED' || details.status === 'FAILED' || details.status === 'STOPPED') {
      await reportEnd(this.wiring.database, attempt.id, details);
      this.#record.forget();
      return this.#finish(attempt, endOf(details), null);
    }
    const seen = JSON.stringify([details.status, details.job_id, details.driver_info, details.driver_node_id]);
    if (details.status === 'RUNNING' && (attempt.phase !== 'running' || seen !== this.#seen)) {
      await advanceAttempt(this.wiring.database, attempt, 'started', details, this.#date());
      this.#record.forget();
      this.#seen = seen;
      this.#tell(job);
    }
    return { wait: this.#intervalMs(attempt) };
  }

  async #unknown(attempt: AttemptRow): Promise<Step> {
    // Perhaps it was another head that was asked.
    this.#record.forget();
    this.#missing += 1;
    if (this.#missing < maxMissing) return { wait: troubleIntervalMs };
    const message = 'the head of its cluster no longer knows it.';
    return this.#finish(attempt, { outcome: 'lost', message, errorType: null, details: null }, null);
  }

  /** The log is read to its end first, as far as it can be had; then the attempt ends. */
  async #finish(attempt: AttemptRow, cause: AttemptEnd, head: 'gone' | 'lost' | null): Promise<Step> {
    const end = asEviction(attempt, cause);
    const copier = this.#copierOf(attempt);
    // The machine may drop the log of a cluster that has ended: what is on its way is waited for first.
    if (head === 'gone') await copier.quiet(300, 3_000);
    else if (end.errorType !== null && end.errorType !== 'JOB_ENTRYPOINT_COMMAND_ERROR') await this.#sleep(lateWordMs);
    await copier.stop();
    // What a lost machine had not sent is lost with it.
    const rest =
      head === 'lost'
        ? 'lost'
        : await copier.copyToEnd().catch((error: unknown) => {
            this.wiring.log.debug({ attempt: attempt.id, error: String(error) }, 'the rest of a log cannot be had yet');
            return 'unreachable' as const;
          });
    if (rest === 'unreachable') {
      this.#restTries += 1;
      const state = head ?? (await this.wiring.clusters.headState(this.wiring.database, attempt.head_lease_id));
      const gone = state === 'gone' || state === 'lost';
      if (!gone || this.#restTries < maxRestTries) return { wait: troubleIntervalMs };
      this.wiring.log.warn({ attempt: attempt.id }, 'the rest of its log is lost with its machine');
    }
    const at = this.#date();
    const job = await endAttempt(this.wiring.database, attempt, end, at, (tx, before) =>
      noteEvidence(tx, this.wiring, { attempt, job: before, cause, head }, at),
    );
    if (job) this.#tell(job);
    return 'done';
  }

  #copierOf(attempt: AttemptRow): LogCopier {
    const { clusters, database, log, maxJobLogBytes, signals } = this.wiring;
    this.#copier ??= new LogCopier({
      database,
      log,
      attemptId: attempt.id,
      source: {
        open: (fromByte, follow) => clusters.jobLog(attempt.cluster_id, attempt.ray_submission_id, fromByte, follow),
      },
      maxBytes: maxJobLogBytes,
      onAppended: () => signals.send(`log:${attempt.job_id}`),
    });
    return this.#copier;
  }

  #tell(job: JobRow): void {
    this.wiring.signals.send(`job:${job.id}`);
    this.wiring.signals.send(`log:${job.id}`);
    this.wiring.signals.send(`events:${job.tenant_id}`);
  }

  #date(): Date {
    return new Date(this.wiring.now());
  }

  /** Until the time has passed, or somebody pokes or stops. */
  async #pause(ms: number): Promise<void> {
    if (!this.#poked && !this.#stopped && ms > 0) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, ms);
        this.#wakeUp = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#poked = false;
  }

  #sleep(ms: number): Promise<void> {
    return new Promise(resolve => setTimeout(resolve, ms));
  }
}
