/** From the machine's question to its owner's yes, which outlives this process: what was asked is kept beside the key. */
import { readFileSync } from 'node:fs';
import {
  type DeviceAuthorization,
  deviceAuthorization,
  type EnrolmentAnswer,
  type JoiningMachine,
} from '@iocloud/contracts';
import { fingerprintOf } from '@iocloud/contracts/wire';
import { z } from 'zod';
import { type ControlPlane, Refused } from './control-plane.js';
import { writePrivate } from './files.js';
import { JoinFault } from './options.js';
import type { Tell } from './reporting.js';

export type Approved = Extract<EnrolmentAnswer, { status: 'approved' }>;
const kept = z.object({ controlPlane: z.string(), asked: deviceAuthorization });

/** What this machine has asked that control plane, as far as that knows of it still; null: nothing. */
export async function earlier(
  file: string,
  plane: ControlPlane,
): Promise<{ asked: DeviceAuthorization; answer: EnrolmentAnswer } | null> {
  const found = kept.safeParse(readJson(file));
  if (!found.success || found.data.controlPlane !== plane.address) return null;
  const { asked } = found.data;
  const answer = await plane.answer(asked.deviceCode).catch((error: unknown) => {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  });
  return answer && { asked, answer };
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null; // none yet, or not whole: it is asked anew
  }
}

/** Asks, or goes on with what was asked before, until the owner has decided. Throws JoinFault. */
export async function awaitApproval(
  file: string,
  plane: ControlPlane,
  publicKey: string,
  machine: JoiningMachine,
  { say, tell, pause }: { say(text: string): void; tell: Tell; pause(ms: number): Promise<void> },
): Promise<{ deviceCode: string; approved: Approved }> {
  const before = await earlier(file, plane);
  let asked = before?.answer.status === 'pending' || before?.answer.status === 'approved' ? before.asked : null;
  for (;;) {
    if (asked === null) {
      asked = await plane.ask(publicKey, machine);
      writePrivate(file, { controlPlane: plane.address, asked });
    }
    const fingerprint = fingerprintOf(publicKey);
    if (before?.answer.status !== 'approved') {
      say(`\nApprove this machine at ${asked.verificationUriComplete}`);
      say(`or with: iocloud node approve ${asked.userCode}`);
      say(
        `Its code is ${asked.userCode}, its key ${fingerprint}. It waits for ${asked.expiresInSeconds / 60} minutes.\n`,
      );
      tell({ event: 'code', userCode: asked.userCode, fingerprint });
    }
    for (;;) {
      const answer = await plane.answer(asked.deviceCode);
      if (answer.status === 'approved') {
        say(`Approved as ${answer.name} (${answer.nodeId}).`);
        tell({ event: 'approved', nodeId: answer.nodeId, name: answer.name });
        return { deviceCode: asked.deviceCode, approved: answer };
      }
      if (answer.status === 'denied') throw new JoinFault('its owner has turned this machine away');
      if (answer.status === 'expired') break;
      await pause(1_000 * asked.intervalSeconds);
    }
    asked = null;
    say('Nobody approved it in time; here is a new code.');
  }
}
