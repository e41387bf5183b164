/**
 * How a machine joins whose owner sits elsewhere: it makes its key, shows a short code, and waits until its owner has
 * approved that (the flow of RFC 8628; what it gets in the end is not a token but a name for its key).
 */
import { z } from 'zod';
import { nodeId } from './ids.js';
import { inventory } from './nodes.js';

/** Letters without vowels, so that no word comes up (RFC 8628 §6.1): some 2.6 × 10¹⁰ codes. */
export const userCodeAlphabet = 'BCDFGHJKLMNPQRSTVWXZ';
export const userCode = z
  .string()
  .transform(text => text.toUpperCase().replace(/[^A-Z]/g, ''))
  .refine(text => text.length === 8 && [...text].every(letter => userCodeAlphabet.includes(letter)), {
    error: 'a code such as WDJB-MJHT, as the machine shows it',
  })
  .transform(text => `${text.slice(0, 4)}-${text.slice(4)}`);

/** What a machine says of itself before anybody has approved it. */
export const joiningMachine = inventory
  .pick({
    hostname: true,
    os: true,
    arch: true,
    cpuModel: true,
    cpus: true,
    memoryBytes: true,
    diskFreeBytes: true,
    devices: true,
  })
  .meta({ id: 'JoiningMachine' });
export type JoiningMachine = z.infer<typeof joiningMachine>;

export const newDeviceAuthorization = z
  .strictObject({
    publicKey: z.string().max(512).describe('the device key: one ed25519 line in OpenSSH format'),
    machine: joiningMachine,
  })
  .meta({ id: 'NewDeviceAuthorization' });

export const deviceAuthorization = z
  .object({
    deviceCode: z.string().describe('the machine’s secret, to ask with'),
    userCode: z.string().describe('what its owner types'),
    verificationUri: z.string(),
    verificationUriComplete: z.string().describe('the same with the code in it'),
    expiresInSeconds: z.int(),
    intervalSeconds: z.int().describe('ask no more often'),
  })
  .meta({ id: 'DeviceAuthorization' });
export type DeviceAuthorization = z.infer<typeof deviceAuthorization>;

export const deviceCode = z.strictObject({ deviceCode: z.string().min(1).max(128) });

export const enrolmentAnswer = z
  .discriminatedUnion('status', [
    z.object({ status: z.literal('pending') }),
    z.object({ status: z.literal('denied') }),
    z.object({ status: z.literal('expired') }),
    z.object({
      status: z.literal('approved'),
      nodeId,
      name: z.string(),
      online: z.boolean().describe('its agent is connected'),
      ssh: z.object({
        host: z.string().nullable().describe('null: the host that this call was sent to'),
        port: z.int(),
        hostKey: z.string().describe('no other server may be talked to: one OpenSSH line'),
      }),
      releaseKey: z
        .string()
        .nullable()
        .default(null)
        .describe(
          'signs every release that may ever run there: one OpenSSH line; null: its program changes by hand alone',
        ),
    }),
  ])
  .meta({ id: 'EnrolmentAnswer' });
export type EnrolmentAnswer = z.infer<typeof enrolmentAnswer>;

export const enrolmentSteps = ['checks', 'approval', 'ray', 'service', 'connected'] as const;
export const enrolmentProgress = z
  .strictObject({
    step: z.enum(enrolmentSteps),
    state: z.enum(['running', 'done', 'failed']),
    message: z.string().max(500).describe('for people: what is going on, or what to fix'),
  })
  .meta({ id: 'EnrolmentProgress' });
export type EnrolmentProgress = z.infer<typeof enrolmentProgress>;

/** A line that the program on the machine prints with --json: how far it is, to whoever has started it there. */
export const joinReport = z.discriminatedUnion('event', [
  z.object({ event: z.literal('alive') }),
  z.object({ event: z.literal('code'), userCode, fingerprint: z.string().max(128) }),
  z.object({ event: z.literal('approved'), nodeId, name: z.string().max(63) }),
  z.object({ event: z.literal('step') }).extend(enrolmentProgress.shape),
  z.object({
    event: z.literal('joined'),
    nodeId,
    words: z.string().max(2_000).describe('what keeps the agent running'),
  }),
  z.object({ event: z.literal('failed'), message: z.string().max(8_000) }),
]);
export type JoinReport = z.infer<typeof joinReport>;

/** What its owner sees of a machine that waits, or has been approved and sets itself up. */
export const enrolment = z
  .object({
    userCode: z.string(),
    status: z.enum(['pending', 'approved', 'denied', 'expired']),
    machine: joiningMachine,
    fingerprint: z.string().describe('of the device key, as ssh-keygen -l shows it; the machine shows it too'),
    address: z.string().describe('that it asked from'),
    requestedAt: z.iso.datetime(),
    nodeId: nodeId.nullable(),
    progress: z.array(enrolmentProgress).describe('the latest of each step'),
  })
  .meta({ id: 'Enrolment' });
export type Enrolment = z.infer<typeof enrolment>;

export const approveEnrolment = z
  .strictObject({
    name: z.string().min(1).max(63).optional().describe('of the machine; its host name where left out'),
    shared: z.boolean().default(false).describe('offer the machine to other tenants too'),
  })
  .meta({ id: 'ApproveEnrolment' });
