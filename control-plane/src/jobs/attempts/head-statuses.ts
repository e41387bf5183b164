/**
 * What heads say of jobs. Where many jobs of one head are followed, its list is asked for once for all of them, instead
 * of one question for each: what following costs then grows with the heads, not with the jobs.
 */
import type { ClusterId, RayJobDetails } from '@iocloud/contracts';
import type { Heads } from '../head.js';

/** From so many followed jobs on. */
const sharedFrom = 8;
/** A head's list names all jobs that it ever ran: one that is longer than this for each that is followed costs too much. */
const mostForEach = 8;
const forgetLongListMs = 60_000;

interface Listing {
  askedAtMs: number;
  answer: Promise<ReadonlyMap<string, RayJobDetails>>;
}

interface Wiring {
  heads: Pick<Heads, 'job' | 'jobs'>;
  /** How many attempts this process follows on a cluster. */
  followedOn(clusterId: ClusterId): number;
  /** A list has come: those that wait to ask need not wait on where it tells something new. */
  heard(clusterId: ClusterId, jobs: ReadonlyMap<string, RayJobDetails>): void;
  now(): number;
}

export class HeadStatuses {
  readonly #listings = new Map<ClusterId, Listing>();
  readonly #tooLongUntilMs = new Map<ClusterId, number>();

  constructor(readonly wiring: Wiring) {}

  /** No older than `maxAgeMs`. Null when the head, asked for it alone, does not know the job. Throws HeadTrouble. */
  async of(clusterId: ClusterId, raySubmissionId: string, maxAgeMs: number): Promise<RayJobDetails | null> {
    if (this.#isShared(clusterId)) {
      const jobs = await this.#listing(clusterId, maxAgeMs).answer;
      const job = jobs.get(raySubmissionId);
      if (job) return job;
    }
    return this.wiring.heads.job(clusterId, raySubmissionId);
  }

  #isShared(clusterId: ClusterId): boolean {
    const tooLongUntilMs = this.#tooLongUntilMs.get(clusterId) ?? Number.NEGATIVE_INFINITY;
    return this.wiring.followedOn(clusterId) >= sharedFrom && this.wiring.now() >= tooLongUntilMs;
  }

  /** Whoever asks while an answer is on its way shares that, trouble and all. */
  #listing(clusterId: ClusterId, maxAgeMs: number): Listing {
    const nowMs = this.wiring.now();
    const known = this.#listings.get(clusterId);
    if (known && nowMs - known.askedAtMs <= maxAgeMs) return known;
    const listing = { askedAtMs: nowMs, answer: this.#ask(clusterId) };
    this.#listings.set(clusterId, listing);
    const forget = () => {
      if (this.#listings.get(clusterId) === listing) this.#listings.delete(clusterId);
    };
    // Trouble is not kept: the next one asks again. And nothing is kept of a head that nobody follows any more.
    listing.answer.then(
      () => setTimeout(forget, 2 * maxAgeMs).unref(),
      () => forget(),
    );
    return listing;
  }

  async #ask(clusterId: ClusterId): Promise<ReadonlyMap<string, RayJobDetails>> {
    const { heads, followedOn, heard, now } = this.wiring;
    const jobs = await heads.jobs(clusterId);
    if (jobs.length > mostForEach * followedOn(clusterId)) {
      this.#tooLongUntilMs.set(clusterId, now() + forgetLongListMs);
    } else this.#tooLongUntilMs.delete(clusterId);
    const byId = new Map(jobs.flatMap(job => (job.submission_id === null ? [] : [[job.submission_id, job]])));
    heard(clusterId, byId);
    return byId;
  }
}
