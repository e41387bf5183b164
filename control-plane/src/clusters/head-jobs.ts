/** Asks a head itself whether it runs anything: jobs may have come past us, by its own Jobs address. */
import { request } from 'node:http';
import type { ClusterId } from '@iocloud/contracts';
import { z } from 'zod';
import { collectAnswer } from '../platform/index.js';
import type { Heads } from './heads.js';

const timeoutMs = 5_000;
const maxAnswerBytes = 16 * 2 ** 20;
const answerShape = z.array(z.object({ status: z.string() }));

/** True when the head lists a job that has not ended. Rejects when it cannot be asked or answers nonsense. */
export async function runsJobs(heads: Heads, clusterId: ClusterId): Promise<boolean> {
  const { agent, host, headers } = await heads.head(clusterId);
  const call = request({ agent, host, path: '/api/jobs/', headers, signal: AbortSignal.timeout(timeoutMs) });
  call.end();
  const { status, text } = await collectAnswer(call, maxAnswerBytes);
  if (status !== 200) throw new Error(`the head answered ${status}`);
  return answerShape.parse(JSON.parse(text)).some(job => job.status === 'PENDING' || job.status === 'RUNNING');
}
