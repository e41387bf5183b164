/**
 * Releases of the agent, and how they come to the machines: a manifest that is signed in OpenSSH's format
 * (`ssh-keygen -Y sign -n iocloud-agent-release`), an archive that it names by its SHA-256, and roll-outs by waves.
 */
import { z } from 'zod';
import { nodeId, rolloutId } from './ids.js';

/** For what a signature was made: one that was made for another purpose counts for nothing (PROTOCOL.sshsig). */
export const releaseNamespace = 'iocloud-agent-release';
export const keyRotationNamespace = 'iocloud-agent-key';

export const agentVersionName = z
  .string()
  .max(64)
  .regex(/^\d+\.\d+\.\d+[0-9A-Za-z.+-]*$/, 'expected a version such as 1.2.3');

/** What the packer writes and the operator signs, as JSON. */
export const releaseManifest = z.object({
  version: agentVersionName,
  serial: z
    .int()
    .min(1)
    .describe('rises with every release: a machine never goes to a lower one, but back to what it ran before'),
  floor: z
    .int()
    .min(0)
    .default(0)
    .describe('once this release runs, nothing below this serial ever runs again, not even on the way back'),
  file: z.string().regex(/^[\w.+-]+\.tgz$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type ReleaseManifest = z.infer<typeof releaseManifest>;

const manifestText = z.string().max(4096).describe('the bytes of manifest.json, as they were signed');
const signature = z.string().max(4096).describe('what `ssh-keygen -Y sign` wrote');
const release = z.object({ version: z.string().max(64), serial: z.int().min(0), sha256: z.string().max(64) });

export const keyRotation = z
  .strictObject({
    publicKey: z.string().max(512).describe('the new key’s .pub file, as it was signed'),
    signature: signature.describe('by the key before it: `ssh-keygen -Y sign -n iocloud-agent-key`'),
  })
  .meta({ id: 'KeyRotation' });
export type KeyRotation = z.infer<typeof keyRotation>;

/** What an agent that can change its release says of it; one that cannot says nothing. */
export const releaseReport = z.object({
  running: release,
  /** It has not yet proven itself. */
  onTrial: z.boolean(),
  previous: release.nullable().describe('what it can go back to'),
  failed: z
    .object({ attempt: z.string().max(64), reason: z.string().max(1000) })
    .nullable()
    .describe('the last release that did not come up, where the machine went back by itself'),
});
export type ReleaseReport = z.infer<typeof releaseReport>;

/** A stream: the control plane offers a release, and `bytes` of archive follow once the agent has agreed. */
export const releaseOffer = z.object({
  kind: z.literal('release'),
  attempt: z.string().max(64),
  manifest: manifestText,
  signature,
  rotations: z.array(keyRotation).max(64),
  bytes: z
    .int()
    .min(1)
    .max(64 * 2 ** 20),
  healthySeconds: z.int().min(5).max(3600),
  /** For the time of the change, as with `heard`: no agent sends heartbeats while one makes way for the other. */
  fenceAfterMs: z.int().positive(),
});
export type ReleaseOffer = z.infer<typeof releaseOffer>;
/** The stream's last line, from the machine: it switches now, or why not. */
export const releaseVerdict = z.object({ switches: z.boolean(), reason: z.string().max(1000) });

export const publishAgentRelease = z
  .strictObject({
    manifest: manifestText,
    signature,
    archive: z
      .base64()
      .max(7 * 2 ** 20)
      .describe('the .tgz, base64'),
  })
  .meta({ id: 'PublishAgentRelease' });

export const agentRelease = z
  .object({
    version: z.string(),
    serial: z.int(),
    floor: z.int(),
    sha256: z.string(),
    bytes: z.int(),
    publishedAt: z.iso.datetime(),
    nodes: z.int().describe('machines that run it'),
  })
  .meta({ id: 'AgentRelease' });
export type AgentRelease = z.infer<typeof agentRelease>;

export const agentReleaseKey = z
  .object({ publicKey: z.string(), fingerprint: z.string(), since: z.iso.datetime() })
  .meta({ id: 'AgentReleaseKey' });

const percent = z.int().min(0).max(100);
export const rolloutTerms = z.strictObject({
  canaries: z
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe('machines of the first wave; each later one has as many as have come through'),
  batchPercent: percent.min(1).default(25).describe('of the fleet: no wave is larger'),
  maxFailedPercent: percent.default(10).describe('of those tried: when more have failed, it stops by itself'),
  healthySeconds: z
    .int()
    .min(5)
    .max(3600)
    .default(120)
    .describe('within which a new agent must be back with its leases'),
});
export type RolloutTerms = z.infer<typeof rolloutTerms>;

export const startRollout = rolloutTerms
  .extend({
    version: agentVersionName.describe('of a published release; of several of that version, the newest'),
    paused: z.boolean().default(false).describe('begin only when it is resumed'),
  })
  .meta({ id: 'StartRollout' });

export const rolloutPhase = z.enum(['running', 'paused', 'halted', 'superseded']).meta({ id: 'RolloutPhase' });
export type RolloutPhase = z.infer<typeof rolloutPhase>;
export const rolloutNodeState = z.enum(['trying', 'healthy', 'failed']).meta({ id: 'RolloutNodeState' });
export type RolloutNodeState = z.infer<typeof rolloutNodeState>;

export const rollout = z
  .object({
    id: rolloutId,
    version: z.string(),
    serial: z.int(),
    phase: rolloutPhase,
    reason: z.string().describe('why it is not running, or empty'),
    rollsBack: rolloutId.nullable().describe('the roll-out that this one takes back'),
    terms: rolloutTerms,
    trying: z.int(),
    healthy: z.int().describe('upgraded and back with their leases'),
    failed: z.int(),
    waiting: z.int().describe('online, not held, and still on another release'),
    offline: z.int().describe('their turn comes when they are back'),
    held: z.int().describe('their owners keep them where they are'),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'AgentRollout' });
export type Rollout = z.infer<typeof rollout>;

export const rolloutNode = z
  .object({
    nodeId,
    name: z.string(),
    state: rolloutNodeState,
    fromVersion: z.string(),
    reason: z.string().describe('why it failed, or empty'),
    changedAt: z.iso.datetime(),
  })
  .meta({ id: 'AgentRolloutNode' });
export type RolloutNode = z.infer<typeof rolloutNode>;

export const holdAgent = z
  .strictObject({ reason: z.string().min(1).max(500).default('held by its owner') })
  .meta({ id: 'HoldAgent' });

/** Of a machine, as its owner sees it. */
export const nodeAgent = z
  .object({
    version: z.string(),
    serial: z.int(),
    onTrial: z.boolean(),
    previousVersion: z.string().nullable(),
    lastFailure: z.string().nullable().describe('why it went back by itself, the last time'),
    hold: z.string().nullable().describe('why its owner keeps it on this release; null: it takes part in roll-outs'),
  })
  .meta({ id: 'NodeAgent' });
