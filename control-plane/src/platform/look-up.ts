import { Batcher } from './batcher.js';
import type { Queryable, Transaction } from './database.js';

/** More keys than this in one statement save nothing more. */
const maxKeys = 500;
/** How far apart statements begin by default: what is looked up again and again can wait for others a moment. */
const usualSpacingMs = 20;

/**
 * One row for one key. Calls on the pool that come within `spacingMs` of an earlier one share a statement: what follows
 * thousands of things then asks the database some fifty times a second, not thousands of times. Each is read after its
 * call, as if it had been alone; inside a transaction it is, because only there is the transaction's view of it.
 *
 * `read` answers each key, in their order, with null for what is not there. A key may come twice.
 */
export function lookUp<Key, Row>(
  read: (db: Queryable, keys: Key[]) => Promise<(Row | null)[]>,
  spacingMs = usualSpacingMs,
): (db: Queryable, key: Key) => Promise<Row | null> {
  const pools = new WeakMap<Queryable, Batcher<Key, Row | null>>();
  return async (db, key) => {
    if (isTransaction(db)) return (await read(db, [key]))[0] ?? null;
    let batcher = pools.get(db);
    if (!batcher) {
      batcher = new Batcher(keys => read(db, keys), maxKeys, undefined, spacingMs);
      pools.set(db, batcher);
    }
    return batcher.add(key);
  };
}

/** The pool has a method of this name. */
const isTransaction = (db: Queryable | Transaction) => 'transaction' in db && db.transaction === true;

/** What `lookUp` wants of rows that carry their key. */
export function inOrderOf<Key, Row>(keys: Key[], rows: Row[], keyOf: (row: Row) => Key): (Row | null)[] {
  const found = new Map(rows.map(row => [keyOf(row), row]));
  return keys.map(key => found.get(key) ?? null);
}
