/** Asks a head itself whether it runs anything: jobs may have come past us, by its own Jobs address. */
import { request } from 'node:http';
import type { ClusterId } from '@iocloud/contracts';
import { z } from 'zod';
import type { Heads } from './heads.js';

const timeoutMs = 5_000;
const maxAnswerBytes = 16 * 2 ** 20;
const answerShape = z.array(z.object({ status: z.string() }));

/** True when the head lists a job that has not ended. Rejects when it cannot be asked or answers nonsense. */
export async function runsJobs(heads: Heads, clusterId: ClusterId): Promise<boolean> {
  const { agent, host, headers } = await heads.head(clusterId);
  const text = await new Promise<string>((resolve, reject) => {
    const call = request(
      { agent, host, path: '/api/jobs/', headers, signal: AbortSignal.timeout(timeoutMs) },
      response => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) call.destroy(new Error('the list of jobs is too long'));
        });
        response.on('error', reject);
        response.on('end', () =>
          response.statusCode === 200
            ? resolve(Buffer.concat(chunks).toString('utf8'))
            : reject(new Error(`the head answered ${response.statusCode}`)),
        );
      },
    );
    call.on('error', reject);
    call.end();
  });
  return answerShape.parse(JSON.parse(text)).some(job => job.status === 'PENDING' || job.status === 'RUNNING');
}
