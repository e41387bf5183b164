/** Commands that a renter runs in a lease, over a stream as the control plane opens it. */
import { once } from 'node:events';
import type { LeaseSpec } from '@iocloud/contracts';
import { FrameReader } from '@iocloud/contracts/wire';
import type { TestControlPlane } from './control-plane.js';

export interface Ran {
  /** Of standard output and error. */
  text: string;
  exit: { code?: number; signal?: string };
}

export async function runInside(
  controlPlane: TestControlPlane,
  leaseId: LeaseSpec['leaseId'],
  command: string,
): Promise<Ran> {
  const what = { type: 'exec', command } as const;
  const { stream, answer } = await controlPlane.open({ kind: 'shell', leaseId, what, pty: null, env: {} });
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  const reader = new FrameReader();
  const ran: Ran = { text: '', exit: {} };
  stream.on('data', (chunk: Buffer) => {
    for (const { type, payload } of reader.take(chunk)) {
      if (type === 'exit') ran.exit = JSON.parse(payload.toString());
      else ran.text += payload.toString();
    }
  });
  await once(stream, 'end');
  stream.destroy();
  return ran;
}
