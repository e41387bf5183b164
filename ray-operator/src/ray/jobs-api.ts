/** The head's Jobs API, as far as a RayJob needs it. */
import type { RayCluster } from '../core/kubernetes-objects.js';
import type { RayAnswer, RayJobStatusName } from '../core/rayjob/observation.js';
import type { RayRequest, RayResponse, Transport } from './transport.js';

export interface HeadAccess {
  transport: Transport;
  tokenOf: (cluster: RayCluster, signal: AbortSignal) => Promise<string | undefined>;
}

interface JobDetails {
  status: RayJobStatusName;
  message?: string | null;
  start_time?: number | null;
  end_time?: number | null;
}

const longestMessage = 1_000;
/** Ray puts whole stack traces into its answers: their last line says what it is about. */
export const lastLine = (text: string) => (text.trim().split('\n').pop() ?? '').slice(-longestMessage);

export async function askHead(
  access: HeadAccess,
  cluster: RayCluster,
  request: Omit<RayRequest, 'token'>,
): Promise<RayResponse | { unreachable: string }> {
  try {
    const token = await access.tokenOf(cluster, request.signal);
    const response = await access.transport(cluster, { ...request, token });
    const { status, text } = response;
    if (status === 401 || status === 403) return { unreachable: `the head refuses the token (HTTP ${status})` };
    return status >= 500 ? { unreachable: `HTTP ${status}: ${lastLine(text)}` } : response;
  } catch (error) {
    if (request.signal.aborted) throw error;
    const { message, cause } = error as Error;
    return { unreachable: cause instanceof Error ? `${message}: ${cause.message}` : message };
  }
}

const path = (jobId: string) => `/api/jobs/${encodeURIComponent(jobId)}`;
const isUnknown = ({ status, text }: RayResponse) => status === 404 && text.includes('does not exist');

export class JobsApi {
  constructor(private readonly access: HeadAccess) {}

  async job(cluster: RayCluster, jobId: string, signal: AbortSignal): Promise<RayAnswer> {
    const answer = await askHead(this.access, cluster, { method: 'GET', path: path(jobId), signal });
    if ('unreachable' in answer) return { kind: 'unreachable', message: answer.unreachable };
    if (isUnknown(answer)) return { kind: 'unknown' };
    const details = answer.status === 200 ? detailsOf(answer.text) : undefined;
    // Of a proxy or an ingress between us and the head: it says nothing of the job.
    if (!details) return { kind: 'unreachable', message: `no answer of Ray's (HTTP ${answer.status})` };
    return {
      kind: 'job',
      status: details.status,
      message: (details.message ?? '').slice(0, longestMessage),
      ...(details.start_time ? { startTimeMs: details.start_time } : {}),
      ...(details.end_time ? { endTimeMs: details.end_time } : {}),
    };
  }

  /** Whether it was taken is seen by asking for it; told is only what will never be taken. */
  async submit(cluster: RayCluster, body: unknown, signal: AbortSignal): Promise<RayAnswer> {
    const answer = await askHead(this.access, cluster, { method: 'POST', path: '/api/jobs/', body, signal });
    if ('unreachable' in answer) return { kind: 'unreachable', message: answer.unreachable };
    if (answer.status === 200 || answer.text.includes('already exists')) return { kind: 'unasked' };
    const message = lastLine(answer.text);
    if (answer.status === 400) return { kind: 'refused', message };
    return { kind: 'unreachable', message: `HTTP ${answer.status}: ${message}` };
  }

  async stop(cluster: RayCluster, jobId: string, signal: AbortSignal): Promise<void> {
    const answer = await askHead(this.access, cluster, { method: 'POST', path: `${path(jobId)}/stop`, signal });
    if ('unreachable' in answer) throw new Error(`cannot stop ${jobId}: ${answer.unreachable}`);
    if (answer.status !== 200 && !isUnknown(answer)) {
      throw new Error(`cannot stop ${jobId}: HTTP ${answer.status}: ${lastLine(answer.text)}`);
    }
  }
}

const statuses = new Set<string>(['PENDING', 'RUNNING', 'STOPPED', 'SUCCEEDED', 'FAILED']);

function detailsOf(text: string): JobDetails | undefined {
  try {
    const details = JSON.parse(text) as JobDetails;
    return statuses.has(details.status) ? details : undefined;
  } catch {
    return undefined;
  }
}
