/** SSH keys and the record of sessions over HTTP. */
import { api, type SshAccess } from '@iocloud/contracts';
import { fingerprintOf } from '@iocloud/contracts/wire';
import { once } from '../accounts/index.js';
import { recordEvent } from '../events/index.js';
import { type Database, Failure, type Http, publicKeyLine, type Signals } from '../platform/index.js';
import { deleteKey, getKey, insertKey, listKeys, toSshKey } from './key-store.js';
import { readPublicKey } from './public-key.js';
import { listSessions } from './session-store.js';

interface Wiring {
  database: Database;
  signals: Pick<Signals, 'send'>;
  random(n: number): Uint8Array;
  /** Known once the SSH server listens. */
  ssh: { hostKey: Buffer; port(): number };
}

export function keyRoutes(http: Http, { database, signals, random, ssh }: Wiring): void {
  const host = hostKeyOf(ssh.hostKey);
  http.handle(api.sshAccess, async () => ({ ...host, port: ssh.port() }));

  http.handle(api.createSshKey, async ({ caller, body, idempotency }) =>
    database.transaction(tx =>
      once(tx, caller, idempotency, async () => {
        const key = readPublicKey(body.publicKey);
        const row = await insertKey(tx, caller, body.name ?? (key.comment || key.type), key, random);
        await recordEvent(tx, {
          tenantId: caller.tenantId,
          subjectKind: 'account',
          subject: row.id,
          reason: 'SshKeyAdded',
          message: `${caller.userId} registered the SSH key ${row.name} (${row.fingerprint})`,
        });
        return toSshKey(row);
      }),
    ),
  );

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
