/** Whose signature a release of the agent must have: the first key is the operator's, each later one signed by the one before. */
import { type KeyRotation, keyRotationNamespace } from '@iocloud/contracts';
import { ed25519Line, fingerprintOf, verifySsh } from '@iocloud/contracts/wire';
import { ConfigError, Failure, type Queryable, type Transaction } from '../platform/index.js';

const keysLock = 7_265_076;

interface KeyRow {
  public_key: string;
  created_at: Date;
}

export const shownKey = ({ public_key: publicKey, created_at: since }: KeyRow) => ({
  publicKey,
  fingerprint: fingerprintOf(publicKey),
  since: since.toISOString(),
});

/** The one that counts first. */
export async function keys(db: Queryable): Promise<KeyRow[]> {
  const { rows } = await db.query<KeyRow>(
    'SELECT public_key, created_at FROM agent_release_keys ORDER BY position DESC',
  );
  return rows;
}

export const keyInForce = async (db: Queryable): Promise<string | null> => (await keys(db))[0]?.public_key ?? null;

/** By which a machine that was pinned to an older key comes to the one in force. */
export async function rotations(db: Queryable): Promise<KeyRotation[]> {
  const { rows } = await db.query<KeyRotation>(
    `SELECT statement AS "publicKey", signature FROM agent_release_keys WHERE position > 1 ORDER BY position`,
  );
  return rows;
}

/** The operator's own file says which key is the first. Returns what is wrong where it says another by now, or null. Throws ConfigError. */
export async function ensureFirstKey(tx: Transaction, text: string, file: string): Promise<string | null> {
  const line = ed25519Line(text);
  if (line === null) {
    throw new ConfigError(`IOCLOUD_AGENT_RELEASE_KEY: ${file} holds no public ed25519 key in OpenSSH format`);
  }
  await tx.query('SELECT pg_advisory_xact_lock($1)', [keysLock]);
  const [inForce] = await keys(tx);
  if (!inForce) await tx.query('INSERT INTO agent_release_keys (position, public_key) VALUES (1, $1)', [line]);
  else if (inForce.public_key !== line) {
    return `${file} is not the release key in force (${fingerprintOf(inForce.public_key)}): machines trust that one until it has passed its office on (\`iocloud agent-release rotate-key\`)`;
  }
  return null;
}

export async function rotate(
  tx: Transaction,
  { publicKey, signature }: KeyRotation,
): Promise<ReturnType<typeof shownKey>> {
  const line = ed25519Line(publicKey);
  if (line === null) throw new Failure('bad-request', 'publicKey is no ed25519 key as one OpenSSH line');
  await tx.query('SELECT pg_advisory_xact_lock($1)', [keysLock]);
  const known = await keys(tx);
  const [inForce] = known;
  if (!inForce) throw new Failure('conflict', 'there is no release key yet: set IOCLOUD_AGENT_RELEASE_KEY');
  if (!verifySsh(signature, inForce.public_key, keyRotationNamespace, publicKey)) {
    throw new Failure(
      'unsatisfiable',
      `the new key is not signed by the one in force (${fingerprintOf(inForce.public_key)})`,
    );
  }
  if (known.some(({ public_key }) => public_key === line))
    throw new Failure('conflict', 'this key had the office before');
  const { rows } = await tx.query<KeyRow>(
    `INSERT INTO agent_release_keys (position, public_key, statement, signature) VALUES ($1, $2, $3, $4)
     RETURNING public_key, created_at`,
    [known.length + 1, line, publicKey, signature],
  );
  return shownKey(rows[0] as KeyRow);
}
