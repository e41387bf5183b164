/**
 * Ray heads without Ray, many in one process: as much of a head's HTTP as the control plane asks for, an empty resource
 * state, and driver logs. A job runs until it is stopped. It is a stand-in for what cannot be had here: 20,000 jobs of
 * real Ray need some thousands of processors.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { RayJobDetails, RayJobSubmission } from '@iocloud/contracts';

/** As Ray's own heads keep them; see clusters/heads.ts. */
const keepAliveMs = 75_000;

interface HeldJob {
  details: RayJobDetails;
  /** When it is to run, milliseconds since the epoch. */
  runsAtMs: number;
  log: string;
  followers: Set<Duplex>;
}

interface Answer {
  status: number;
  body: unknown;
}

/** `setup 60; …` is a job that stays PENDING for 60 s, as one whose environment is being made. */
const setupSeconds = (entrypoint: string) => Number(/^setup (\d+);/.exec(entrypoint)?.[1] ?? 0);

/** The job's driver writes a line. */
function say(job: HeldJob, line: string): void {
  job.log += line;
  for (const follower of job.followers) follower.write(line);
}

class PretendedHead {
  readonly jobs = new Map<string, HeldJob>();

  constructor(readonly began: (job: HeldJob) => void) {}

  take(submission: RayJobSubmission): Answer {
    const id = submission.submission_id ?? '';
    if (this.jobs.has(id)) return { status: 500, body: `ValueError: Job with submission_id ${id} already exists.` };
    const details: RayJobDetails = {
      type: 'SUBMISSION',
      job_id: null,
      submission_id: id,
      driver_info: null,
      status: 'PENDING',
      entrypoint: submission.entrypoint,
      message: 'Job has not started yet.',
      error_type: null,
      start_time: Date.now(),
      end_time: null,
      metadata: submission.metadata ?? null,
      runtime_env: submission.runtime_env ?? null,
      driver_agent_http_address: null,
      driver_node_id: null,
      driver_exit_code: null,
    };
    const runsAtMs = Date.now() + 1_000 * setupSeconds(submission.entrypoint);
    this.jobs.set(id, { details, runsAtMs, log: '', followers: new Set() });
    return { status: 200, body: { job_id: id, submission_id: id } };
  }

  show(job: HeldJob): RayJobDetails {
    const { details } = job;
    if (details.status === 'PENDING' && Date.now() >= job.runsAtMs) {
      Object.assign(details, {
        status: 'RUNNING',
        job_id: (this.jobs.size % 0xff_ff_ff).toString(16).padStart(8, '0'),
        driver_info: { id: '02000000', node_ip_address: '127.0.0.1', pid: '4711' },
        message: 'Job is currently running.',
        driver_agent_http_address: 'http://127.0.0.1:52365',
        driver_node_id: 'ab'.repeat(28),
      });
      say(job, 'started\n');
      this.began(job);
    }
    return details;
  }

  stop(job: HeldJob): Answer {
    Object.assign(job.details, { status: 'STOPPED', message: 'Job was intentionally stopped.', end_time: Date.now() });
    return { status: 200, body: { stopped: true } };
  }
}

export class PretendedHeads {
  /** By the token of the cluster, which a head asks for with each call. */
  readonly #heads = new Map<string, PretendedHead>();
  readonly #tokens = new Map<string, string>();
  readonly #http = createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
    this.#serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  readonly #gcs = createHttp2Server();
  readonly #begun: HeldJob[] = [];
  #lastToSpeak = 0;

  constructor() {
    this.#gcs.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.resume();
      // One empty message: a resource state of no nodes and nothing that waits.
      stream.on('end', () => stream.end(Buffer.alloc(5)));
    });
  }

  start(clusterId: string, token: string): void {
    if (this.#tokens.get(clusterId) === token) return;
    this.#tokens.set(clusterId, token);
    this.#heads.set(token, new PretendedHead(job => this.#begun.push(job)));
  }

  /** Takes a connection to a head's dashboard, or to its GCS. */
  connect(kind: 'dashboard' | 'gcs', stream: Duplex): void {
    (kind === 'gcs' ? this.#gcs : this.#http).emit('connection', stream);
  }

  /** The log from a byte on, and, followed, what is written later; null where there is no such job. */
  log(clusterId: string, id: string, fromByte: number, stream: Duplex | null): Buffer | null {
    const job = this.#heads.get(this.#tokens.get(clusterId) ?? '')?.jobs.get(id);
    if (!job) return null;
    if (stream) {
      job.followers.add(stream);
      stream.once('close', () => job.followers.delete(stream));
    }
    return Buffer.from(job.log).subarray(fromByte);
  }

  get running(): number {
    return this.#begun.reduce((sum, { details }) => sum + (details.status === 'RUNNING' ? 1 : 0), 0);
  }

  /** So many running jobs write one line more, in turn. */
  speak(count: number): void {
    for (let i = 0; i < Math.min(count, this.#begun.length); i += 1) {
      this.#lastToSpeak += 1;
      const job = this.#begun[this.#lastToSpeak % this.#begun.length];
      if (job?.details.status === 'RUNNING') say(job, `step ${this.#lastToSpeak} done, loss 0.123456\n`);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const head = this.#heads.get((request.headers.authorization ?? '').replace(/^Bearer /, ''));
    const { status, body: answer } = head
      ? answerOf(head, request.method ?? '', request.url ?? '', body)
      : { status: 401, body: 'Unauthorized: Invalid authentication token' };
    const json = typeof answer === 'string' ? answer : JSON.stringify(answer);
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) });
    response.end(json);
  }
}

function answerOf(head: PretendedHead, method: string, url: string, body: string): Answer {
  const [, id = '', action = ''] = /^\/api\/jobs\/([^/?]*)\/?([^?]*)/.exec(url) ?? [];
  if (id === '' && method === 'POST') return head.take(JSON.parse(body) as RayJobSubmission);
  if (id === '') return { status: 200, body: [...head.jobs.values()].map(job => head.show(job)) };
  const job = head.jobs.get(decodeURIComponent(id));
  if (!job) return { status: 404, body: `Job ${id} does not exist` };
  if (action === 'stop') return head.stop(job);
  return { status: 200, body: head.show(job) };
}
