/** Whether a submission can be taken: what could never run is refused while its sender still listens. */
import type { TenantId } from '@iocloud/contracts';
import type { Clusters } from '../clusters/ports.js';
import { resolve } from '../core/matching/index.js';
import { Failure, type Queryable } from '../platform/index.js';
import type { FindMega } from './entrances.js';
import { nodeFor } from './needs.js';
import type { QuotaGate } from './quota-gate.js';
import { InvalidSubmission, parseSubmission, type Submission } from './submission.js';

interface Wiring {
  database: Queryable;
  clusters: Clusters;
  quotas: QuotaGate;
  megaNamed: FindMega;
}

/** `text`: the body of POST /api/jobs/. Throws Failure 'bad-request'. */
export async function admit(wiring: Wiring, tenantId: TenantId, text: string): Promise<Submission> {
  const submission = parsed(text);
  const never = await wiring.quotas.refusal(wiring.database, tenantId, submission);
  if (never !== null) throw refusal(`no quota allows this job: ${never}`);
  await refuseUnknownCluster(wiring, tenantId, submission.wantedCluster);
  await refuseUnsatisfiable(wiring, tenantId, submission);
  return submission;
}

/** Throws Failure 'bad-request'. */
export function parsed(text: string): Submission {
  try {
    return parseSubmission(text);
  } catch (error) {
    if (error instanceof InvalidSubmission) throw new Failure('bad-request', error.message);
    throw error;
  }
}

/** What no machine that is enrolled could meet is refused with the reasons, unless it says that it waits for machines. */
async function refuseUnsatisfiable(wiring: Wiring, tenantId: TenantId, submission: Submission): Promise<void> {
  const { requirements } = submission.needs;
  if (!requirements || submission.waitsForMachines || submission.wantedCluster !== null) return;
  const node = nodeFor(submission.needs);
  if (!node.success) {
    const [issue] = node.error.issues;
    throw refusal(`no Ray node can be so: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { outcome, message } = await wiring.clusters.explainForJob(wiring.database, tenantId, node.data, requirements);
  if (outcome !== 'never') return;
  for (const name of requirements.accelerators ?? []) {
    const { slugs, suggestions } = resolve(name);
    if (slugs.length > 0 || suggestions.length === 0) continue;
    const where = submission.metadata?.['io.accelerator'] ? 'metadata key io.accelerator' : 'entrypoint_label_selector';
    throw refusal(`${where}: no accelerator is called ${name}; did you mean ${suggestions.join(', ')}?`);
  }
  throw refusal(`no machine meets the requirements: ${message}. To wait for one that does: io.wait_for_machines=true`);
}

const refusal = (text: string) => new Failure('bad-request', `ValueError: ${text}`);

/** A name that nothing answers to would wait for ever: the sender hears of it at once. */
async function refuseUnknownCluster(wiring: Wiring, tenantId: TenantId, wanted: string | null): Promise<void> {
  if (wanted === null) return;
  const live = await wiring.clusters.live(wiring.database, tenantId);
  if (live.some(({ id, name }) => id === wanted || name === wanted)) return;
  // It may have no cell just now: they come back.
  if (await wiring.megaNamed(wiring.database, tenantId, wanted)) return;
  const names = live.map(({ name }) => name).sort();
  throw new Failure(
    'bad-request',
    `ValueError: metadata key io.cluster: no running cluster is called ${wanted}; ${names.length === 0 ? 'there are none' : `there are: ${names.join(', ')}`}`,
  );
}
