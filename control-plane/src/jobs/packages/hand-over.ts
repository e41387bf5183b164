/** Hands the packages of a job on to the head that will run it. */
import type { ClusterId, TenantId } from '@iocloud/contracts';
import { type Heads, HeadTrouble, lastLine } from '../head.js';
import type { PackageStore } from './store.js';

/** Uploads pass through a tunnel and into the head's memory. */
const uploadTimeoutMs = 120_000;

/**
 * Gives the head those packages that it lacks. Returns why it will never take one of them, or null. A package that is
 * not stored here is passed over: the head then says so in Ray's own words. Throws HeadTrouble.
 */
export async function handOver(
  heads: Heads,
  store: PackageStore,
  clusterId: ClusterId,
  tenantId: TenantId,
  names: string[],
): Promise<string | null> {
  for (const name of names) {
    const stored = await store.find(store.database, tenantId, name);
    if (!stored) continue;
    const path = `/api/packages/gcs/${encodeURIComponent(name)}`;
    // The question also makes the head keep the package for a while, until the job holds on to it itself.
    const known = await heads.call(clusterId, { method: 'GET', path });
    if (known.status === 200) continue;
    if (known.status !== 404) throw new HeadTrouble(`the head answered ${known.status}: ${lastLine(known.text)}`);
    const body = { stream: store.read(stored), sizeBytes: stored.sizeBytes };
    const put = await heads.call(clusterId, { method: 'PUT', path, body, timeoutMs: uploadTimeoutMs });
    if (put.status === 413) {
      return `The Ray head refuses the package ${name}: ${stored.sizeBytes} bytes are more than it takes. Make it smaller (runtime_env "excludes").`;
    }
    if (put.status !== 200) throw new HeadTrouble(`the head answered ${put.status}: ${lastLine(put.text)}`);
  }
  return null;
}
