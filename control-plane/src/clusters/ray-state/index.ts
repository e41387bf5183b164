/** What a cluster's Ray says of its own load, and draining an idle node of it: gRPC to the head's GCS. */
import type { ClusterId } from '@iocloud/contracts';
import type { Heads } from '../heads.js';
import { callOnce } from './grpc.js';
import { drainIdleRequest, type ResourceState, readDrainReply, readResourceState } from './resource-state.js';

export type { RayNodeState, ResourceState } from './resource-state.js';

const service = '/ray.rpc.autoscaler.AutoscalerStateService';
const timeoutMs = 2_000;
/** Some tens of thousands of nodes. */
const maxAnswerBytes = 16 * 2 ** 20;

/** Rejects when the head cannot be reached (HeadUnavailable), refuses, or answers nonsense. */
export async function resourceState(heads: Heads, clusterId: ClusterId): Promise<ResourceState> {
  return readResourceState(await call(heads, clusterId, 'GetClusterResourceState', Buffer.alloc(0)));
}

/** Asks Ray to take nothing more on a node; it says no while anything runs there. Rejects as `resourceState` does. */
export async function drainIdle(
  heads: Heads,
  clusterId: ClusterId,
  rayNodeId: string,
  why: string,
): Promise<{ accepted: boolean; reason: string }> {
  return readDrainReply(await call(heads, clusterId, 'DrainNode', drainIdleRequest(rayNodeId, why)));
}

async function call(heads: Heads, clusterId: ClusterId, method: string, request: Buffer): Promise<Buffer> {
  const { stream, headers } = await heads.gcs(clusterId);
  return callOnce(stream, { path: `${service}/${method}`, request, headers, timeoutMs, maxAnswerBytes });
}
