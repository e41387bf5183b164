/**
 * Ids are a type prefix and 20 lower-case base-32 characters (100 random bits), so that a reader sees in a log line
 * what an id names, and an id fits DNS labels and file names as it is.
 */
import { z } from 'zod';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base 32: no i, l, o, u to misread

export const idPrefixes = {
  tenant: 'tn',
  user: 'us',
  apiKey: 'ak',
  cluster: 'cl',
  megaCluster: 'mc',
  node: 'nd',
  lease: 'ls',
  job: 'jb',
  attempt: 'at',
  event: 'ev',
  sshKey: 'sk',
  sshSession: 'ss',
  verification: 'vf',
  rollout: 'ro',
  quote: 'qt',
  invoice: 'in',
  webhook: 'wh',
  delivery: 'msg',
  payout: 'po',
  payoutAddress: 'pa',
  unstaking: 'un',
  slash: 'sl',
  proposal: 'pr',
  provider: 'pv',
} as const;
export type IdKind = keyof typeof idPrefixes;

export type TenantId = string & z.core.$brand<'TenantId'>;
export type UserId = string & z.core.$brand<'UserId'>;
export type ApiKeyId = string & z.core.$brand<'ApiKeyId'>;
export type ClusterId = string & z.core.$brand<'ClusterId'>;
export type MegaClusterId = string & z.core.$brand<'MegaClusterId'>;
export type NodeId = string & z.core.$brand<'NodeId'>;
export type LeaseId = string & z.core.$brand<'LeaseId'>;
export type JobId = string & z.core.$brand<'JobId'>;
export type AttemptId = string & z.core.$brand<'AttemptId'>;
export type SshKeyId = string & z.core.$brand<'SshKeyId'>;
export type SshSessionId = string & z.core.$brand<'SshSessionId'>;
export type QuoteId = string & z.core.$brand<'QuoteId'>;
export type InvoiceId = string & z.core.$brand<'InvoiceId'>;
export type WebhookId = string & z.core.$brand<'WebhookId'>;
export type DeliveryId = string & z.core.$brand<'DeliveryId'>;
export type VerificationId = string & z.core.$brand<'VerificationId'>;
export type PayoutId = string & z.core.$brand<'PayoutId'>;
export type PayoutAddressId = string & z.core.$brand<'PayoutAddressId'>;
export type UnstakingId = string & z.core.$brand<'UnstakingId'>;
export type SlashId = string & z.core.$brand<'SlashId'>;
export type ProposalId = string & z.core.$brand<'ProposalId'>;
export type ProviderId = string & z.core.$brand<'ProviderId'>;
export type RolloutId = string & z.core.$brand<'RolloutId'>;

interface IdTypes {
  tenant: TenantId;
  user: UserId;
  apiKey: ApiKeyId;
  cluster: ClusterId;
  megaCluster: MegaClusterId;
  node: NodeId;
  lease: LeaseId;
  job: JobId;
  attempt: AttemptId;
  event: string;
  sshKey: SshKeyId;
  sshSession: SshSessionId;
  verification: VerificationId;
  rollout: RolloutId;
  quote: QuoteId;
  invoice: InvoiceId;
  webhook: WebhookId;
  delivery: DeliveryId;
  payout: PayoutId;
  payoutAddress: PayoutAddressId;
  unstaking: UnstakingId;
  slash: SlashId;
  proposal: ProposalId;
  provider: ProviderId;
}

/** A new id of the given kind. `randomBytes(n)` gives n random bytes: it comes in, so that a simulation can fix it. */
export function newId<K extends IdKind>(kind: K, randomBytes: (n: number) => Uint8Array): IdTypes[K] {
  const characters = Array.from(randomBytes(20), byte => alphabet[byte & 31]).join('');
  return `${idPrefixes[kind]}_${characters}` as IdTypes[K];
}

const idSchema = <K extends IdKind>(kind: K) =>
  z
    .string()
    .regex(new RegExp(`^${idPrefixes[kind]}_[${alphabet}]{20}$`), `expected an id such as ${idPrefixes[kind]}_…`)
    .meta({ id: `${kind[0]?.toUpperCase()}${kind.slice(1)}Id` }) as unknown as z.ZodType<IdTypes[K]>;

export const tenantId = idSchema('tenant');
export const userId = idSchema('user');
export const apiKeyId = idSchema('apiKey');
export const clusterId = idSchema('cluster');
export const megaClusterId = idSchema('megaCluster');
export const nodeId = idSchema('node');
export const leaseId = idSchema('lease');
export const attemptId = idSchema('attempt');
export const sshKeyId = idSchema('sshKey');
export const sshSessionId = idSchema('sshSession');
export const quoteId = idSchema('quote');
export const webhookId = idSchema('webhook');
export const deliveryId = idSchema('delivery');
export const verificationId = idSchema('verification');
export const rolloutId = idSchema('rollout');
export const providerId = idSchema('provider');
export const payoutId = idSchema('payout');
export const payoutAddressId = idSchema('payoutAddress');
export const unstakingId = idSchema('unstaking');
export const slashId = idSchema('slash');
export const proposalId = idSchema('proposal');
