/** SSH keys and the record of sessions over HTTP. */
import { api, type SshAccess } from '@iocloud/contracts';
import { fingerprintOf } from '@iocloud/contracts/wire';
import { once } from '../accounts/index.js';
import { recordEvent } from '../events/index.js';
import {
  type Caller,
  type Database,
  Failure,
  type Http,
  publicKeyLine,
  type Signals,
  type Signer,
} from '../platform/index.js';
import { deleteKey, getKey, insertKey, listKeys, toSshKey } from './key-store.js';
import { demandProof, proofNamespace } from './possession.js';
import { readPublicKey } from './public-key.js';
import { listSessions } from './session-store.js';

interface Wiring {
  database: Database;
  signals: Pick<Signals, 'send'>;
  random(n: number): Uint8Array;
  signer: Signer;
  /** Known once the SSH server listens. */
  ssh: { hostKey: Buffer; port(): number };
}

const challengeSeconds = 600;
const challengePurpose = 'ssh-key';

export function keyRoutes(http: Http, { database, signals, random, signer, ssh }: Wiring): void {
  const host = hostKeyOf(ssh.hostKey);
  http.handle(api.sshAccess, async () => ({ ...host, port: ssh.port() }));

  // Of one user: what somebody is made to sign for another is of no use to them.
  http.handle(api.challengeSshKey, async ({ caller: { tenantId, userId } }) => ({
    challenge: signer.sign(challengePurpose, { tenantId, userId }, challengeSeconds * 1_000),
    namespace: proofNamespace,
    expiresInSeconds: challengeSeconds,
  }));

  const isOf = ({ tenantId, userId }: Caller, challenge: string): boolean => {
    const asked = signer.verify(challengePurpose, challenge);
    return asked?.tenantId === tenantId && asked.userId === userId;
  };

  http.handle(api.createSshKey, async ({ caller, body, idempotency }) => {
    const created = await database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const key = readPublicKey(body.publicKey);
        const { challenge, signature } = body.proof;
        if (!isOf(caller, challenge)) {
          throw new Failure(
            'bad-request',
            'proof.challenge: it is too old, or was not given to you: ask for a new one',
          );
        }
        demandProof(key.line, challenge, signature);
        const { row, displaced } = await insertKey(tx, caller, body.name ?? (key.comment || key.type), key, random);
        if (displaced) {
          await recordEvent(tx, {
            tenantId: displaced.tenant_id,
            subjectKind: 'account',
            subject: displaced.id,
            reason: 'SshKeyRemoved',
            message: `the SSH key ${displaced.name} (${displaced.fingerprint}) of ${displaced.user_id} was registered without proof; who holds it has now registered it with proof, and what it had opened is ended`,
          });
        }
        await recordEvent(tx, {
          tenantId: caller.tenantId,
          subjectKind: 'account',
          subject: row.id,
          reason: 'SshKeyAdded',
          message: `${caller.userId} registered the SSH key ${row.name} (${row.fingerprint})`,
        });
        return toSshKey(row);
      }),
    );
    // What one of before had opened ends at once, not at the next look.
    signals.send('access');
    return created;
  });

  http.handle(api.listSshKeys, async ({ caller, query }) => {
    const items = (await listKeys(database, caller.tenantId, query.after ?? '', query.limit)).map(toSshKey);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });

  http.handle(api.removeSshKey, async ({ caller, params }) => {
    const removed = await database.transaction(async tx => {
      const row = await getKey(tx, caller.tenantId, params.sshKeyId);
      if (row.user_id !== caller.userId && !caller.permissions.has('accounts:write')) {
        throw new Failure('permission-denied', 'this is another user’s SSH key: removing it needs accounts:write');
      }
      await deleteKey(tx, caller.tenantId, row.id);
      await recordEvent(tx, {
        tenantId: caller.tenantId,
        subjectKind: 'account',
        subject: row.id,
        reason: 'SshKeyRemoved',
        message: `${caller.userId} removed the SSH key ${row.name} (${row.fingerprint}) of ${row.user_id}; what it had opened is ended`,
      });
      return row;
    });
    signals.send('access');
    return toSshKey(removed);
  });

  http.handle(api.listSshSessions, async ({ caller, query }) => {
    const items = await listSessions(database, caller.tenantId, query);
    return { items, next: items.length === query.limit ? (items.at(-1)?.id ?? null) : null };
  });
}

function hostKeyOf(privateKey: Buffer): Omit<SshAccess, 'port'> {
  const hostKey = publicKeyLine(privateKey);
  return { hostKey, fingerprint: fingerprintOf(hostKey) };
}
