/** Calls to a cluster's Ray head, through the machine's tunnel. */
import { request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ClusterId, RayJobDetails, RayJobSubmission } from '@iocloud/contracts';
import { type Clusters, HeadUnavailable } from '../clusters/ports.js';
import { type Answer, collectAnswer } from '../platform/index.js';

/** The head could not be asked, or did not answer as one: to be tried again. */
export class HeadTrouble extends Error {}

interface HeadRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  json?: unknown;
  body?: { stream: Readable; sizeBytes: number };
  timeoutMs?: number;
}

const defaultTimeoutMs = 30_000;
/** A status is asked for again and again: one that does not come says nothing of the job. */
const statusTimeoutMs = 10_000;
/** A job's details hold at most 20,000 characters of log beside what the user sent (8 MB). */
const maxAnswerBytes = 32 * 2 ** 20;

export class Heads {
  constructor(readonly clusters: Clusters) {}

  /** Throws HeadTrouble. */
  async call(clusterId: ClusterId, call: HeadRequest): Promise<Answer> {
    try {
      return await this.#call(clusterId, call);
    } catch (error) {
      if (error instanceof HeadTrouble) throw error;
      if (error instanceof HeadUnavailable) throw new HeadTrouble(`the head is ${error.code}: ${error.message}`);
      throw new HeadTrouble(`${call.method} ${call.path} on the head failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #call(clusterId: ClusterId, { method, path, json, body, timeoutMs = defaultTimeoutMs }: HeadRequest) {
    const { agent, host, headers } = await this.clusters.head(clusterId);
    const text = json === undefined ? undefined : JSON.stringify(json);
    const call = request({
      agent,
      host,
      method,
      path,
      timeout: timeoutMs,
      headers: {
        ...headers,
        ...(text === undefined ? {} : { 'Content-Type': 'application/json' }),
        'Content-Length': text === undefined ? (body?.sizeBytes ?? 0) : Buffer.byteLength(text),
      },
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    const answer = collectAnswer(call, maxAnswerBytes);
    if (body) {
      pipeline(body.stream, call as unknown as NodeJS.WritableStream).catch((error: Error) => call.destroy(error));
    } else call.end(text);
    return answer;
  }

  /** Null when the head does not know the job. Throws HeadTrouble. */
  async job(clusterId: ClusterId, raySubmissionId: string): Promise<RayJobDetails | null> {
    const answer = await this.call(clusterId, {
      method: 'GET',
      path: jobPath(raySubmissionId),
      timeoutMs: statusTimeoutMs,
    });
    if (answer.status === 404) return null;
    return parsed<RayJobDetails>(expectOk(answer));
  }

  /** All jobs that the head knows, those submitted past us included. Throws HeadTrouble. */
  async jobs(clusterId: ClusterId): Promise<RayJobDetails[]> {
    const answer = await this.call(clusterId, { method: 'GET', path: '/api/jobs/', timeoutMs: statusTimeoutMs });
    const jobs = parsed<unknown>(expectOk(answer));
    if (!Array.isArray(jobs)) throw new HeadTrouble('the head answered with what is no list of jobs');
    return jobs as RayJobDetails[];
  }

  /**
   * Submits. `accepted`, or `exists` when the head has a job of this id, or `refused` with the head's reason when it will
   * never take it. Throws HeadTrouble.
   */
  async submit(
    clusterId: ClusterId,
    submission: RayJobSubmission,
  ): Promise<'accepted' | 'exists' | { refused: string }> {
    const answer = await this.call(clusterId, {
      method: 'POST',
      path: '/api/jobs/',
      json: submission,
      timeoutMs: 60_000,
    });
    if (answer.status === 200) return 'accepted';
    if (answer.text.includes('already exists') && answer.text.includes('submission_id')) return 'exists';
    // The head wraps what its agent answered with 400 into a 500 of its own.
    if (answer.status === 400 || answer.status === 413 || answer.text.includes('failed with status code 400')) {
      return { refused: lastLine(answer.text) };
    }
    throw new HeadTrouble(`the head answered ${answer.status} to the submission: ${lastLine(answer.text)}`);
  }

  /** Asks the head to stop the job; nothing happens when it has ended. Throws HeadTrouble. */
  async stop(clusterId: ClusterId, raySubmissionId: string): Promise<void> {
    const answer = await this.call(clusterId, { method: 'POST', path: `${jobPath(raySubmissionId)}/stop` });
    if (answer.status !== 404) expectOk(answer);
  }

  /** Throws HeadTrouble. */
  async delete(clusterId: ClusterId, raySubmissionId: string): Promise<void> {
    const answer = await this.call(clusterId, { method: 'DELETE', path: jobPath(raySubmissionId), timeoutMs: 5_000 });
    if (answer.status !== 404) expectOk(answer);
  }
}

const jobPath = (raySubmissionId: string) => `/api/jobs/${encodeURIComponent(raySubmissionId)}`;

function expectOk(answer: Answer): Answer {
  if (answer.status === 200) return answer;
  throw new HeadTrouble(`the head answered ${answer.status}: ${lastLine(answer.text)}`);
}

function parsed<T>(answer: Answer): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch {
    throw new HeadTrouble(`the head answered with what is no JSON: ${answer.text.slice(0, 200)}`);
  }
}

/** Of a Python traceback the last line says what was wrong. */
export function lastLine(text: string): string {
  const lines = text.split('\n').filter(line => line.trim() !== '' && line.trim() !== '.');
  return (lines.at(-1) ?? '').trim().slice(0, 2_000);
}
