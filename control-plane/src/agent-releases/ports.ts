import type { Duplex } from 'node:stream';
import type { NodeId, ReleaseReport, StreamRequest } from '@iocloud/contracts';
import type { Transaction } from '../platform/index.js';

/** What inventory tells of the agents' releases. */
export interface ReleaseWatch {
  /** By how much longer a machine's Ray nodes may run without a heartbeat, as it is on record. */
  graceSeconds(nodeId: NodeId): number;
  /** In the transaction that puts the report on record. */
  reported(tx: Transaction, nodeId: NodeId, report: ReleaseReport): Promise<void>;
  /** The machine's agent speaks another protocol: if a release is due for it, it goes before the connection does. */
  beforeRefusal(nodeId: NodeId, openStream: (request: StreamRequest) => Promise<Duplex>): Promise<void>;
}
