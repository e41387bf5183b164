/** Whether a submission can be taken: what could never run is refused while its sender still listens. */
import type { TenantId } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import { Failure, type Queryable } from '../platform/index.js';
import { InvalidSubmission, parseSubmission, type Submission } from './submission.js';

interface Wiring {
  database: Queryable;
  clusters: Clusters;
}

/** `text`: the body of POST /api/jobs/. Throws Failure 'bad-request'. */
export async function admit(wiring: Wiring, tenantId: TenantId, text: string): Promise<Submission> {
  const submission = parsed(text);
  await refuseUnknownCluster(wiring, tenantId, submission.wantedCluster);
  return submission;
}

function parsed(text: string): Submission {
  try {
    return parseSubmission(text);
  } catch (error) {
    if (error instanceof InvalidSubmission) throw new Failure('bad-request', error.message);
    throw error;
  }
}

/** A name that nothing answers to would wait for ever: the sender hears of it at once. */
async function refuseUnknownCluster(wiring: Wiring, tenantId: TenantId, wanted: string | null): Promise<void> {
  if (wanted === null) return;
  const live = await wiring.clusters.live(wiring.database, tenantId);
  if (live.some(({ id, name }) => id === wanted || name === wanted)) return;
  const names = live.map(({ name }) => name).sort();
  throw new Failure(
    'bad-request',
    `ValueError: metadata key io.cluster: no running cluster is called ${wanted}; ${names.length === 0 ? 'there are none' : `there are: ${names.join(', ')}`}`,
  );
}
