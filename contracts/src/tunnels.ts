/** Renters' SSH keys, and what is on record of each shell, command, file transfer and forward into a lease. */
import { z } from 'zod';
import { apiKeyId, clusterId, leaseId, nodeId, sshKeyId, sshSessionId, userId } from './ids.js';

export const sshKey = z
  .object({
    id: sshKeyId,
    userId,
    name: z.string(),
    type: z.string().describe('as SSH names it: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa, …'),
    fingerprint: z.string().describe('SHA256:…, as `ssh-keygen -l` shows it'),
    proved: z
      .boolean()
      .describe('false: registered before a key had to sign; yields to whoever registers it with proof'),
    createdAt: z.iso.datetime(),
    lastUsedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'SshKey' });
export type SshKey = z.infer<typeof sshKey>;

export const createSshKey = z
  .object({
    name: z.string().min(1).max(128).optional().describe('what it is called; the key’s own comment when absent'),
    publicKey: z
      .string()
      .min(1)
      .max(16_384)
      .describe('one line of OpenSSH format, as in ~/.ssh/id_ed25519.pub: ed25519, ECDSA, or RSA of 2048 bits or more'),
    proof: z
      .strictObject(
        {
          challenge: z.string().min(1).max(2_048).describe('as POST /v1/ssh-key-challenges gave it'),
          signature: z
            .string()
            .min(1)
            .max(16_384)
            .describe('of the challenge by the key, as `ssh-keygen -Y sign -n iocloud -f KEY` prints it'),
        },
        {
          error:
            'the key has to prove that it is yours: sign a challenge of POST /v1/ssh-key-challenges with it (`iocloud ssh-key add` does)',
        },
      )
      .describe('that the caller holds the private key'),
  })
  .meta({ id: 'CreateSshKey' });

export const sshKeyChallenge = z
  .object({
    challenge: z.string().describe('a text for the caller alone, to be signed by the key that they will register'),
    namespace: z.literal('iocloud').describe('of the signature: `ssh-keygen -Y sign -n iocloud`'),
    expiresInSeconds: z.int(),
  })
  .meta({ id: 'SshKeyChallenge' });
export type SshKeyChallenge = z.infer<typeof sshKeyChallenge>;

export const sshSessionKind = z
  .enum(['shell', 'exec', 'sftp', 'forward', 'socket'])
  .describe('forward: a TCP connection to a port inside the lease; socket: one to a Unix socket there')
  .meta({ id: 'SshSessionKind' });
export type SshSessionKind = z.infer<typeof sshSessionKind>;

/** Who was where, when, and for how long. What was typed, shown or carried is never kept, nor the command of an `exec`. */
export const sshSession = z
  .object({
    id: sshSessionId,
    kind: sshSessionKind,
    via: z.enum(['ssh', 'browser', 'api']),
    userId,
    keyFingerprint: z.string().nullable().describe('of the SSH key; null where an API key opened it'),
    apiKeyId: apiKeyId.nullable().describe('the API key; null where an SSH key opened it'),
    address: z.string().describe('IP address that it came from'),
    clusterId: clusterId.nullable(),
    leaseId: leaseId.nullable().describe('null where it was refused before it had come to one'),
    nodeId: nodeId.nullable(),
    target: z.string().nullable().describe('of a forward: host and port inside the lease, or path of the socket'),
    startedAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    bytesIn: z.int().describe('into the lease'),
    bytesOut: z.int().describe('out of it'),
    endReason: z.string().nullable().describe('why it has ended, or was refused'),
  })
  .meta({ id: 'SshSession' });
export type SshSession = z.infer<typeof sshSession>;

/** How an SSH client reaches the control plane. */
export const sshAccess = z
  .object({
    port: z.int(),
    hostKey: z.string().describe('one line in the form of known_hosts, without a host name: type and key'),
    fingerprint: z.string().describe('of the host key, SHA256:…'),
  })
  .meta({ id: 'SshAccess' });
export type SshAccess = z.infer<typeof sshAccess>;
