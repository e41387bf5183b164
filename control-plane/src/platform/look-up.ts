import { Batcher } from './batcher.js';
import { isRefusedStatement, type Queryable, type Transaction } from './database.js';

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
  const onPool = together(read, spacingMs);
  return async (db, key) => (isTransaction(db) ? ((await read(db, [key]))[0] ?? null) : onPool(db, key));
}

/**
 * What many do at the same time, done together: calls on one pool that come while `work` is under way, or within `spacingMs`
 * of its beginning, share the next. `work` gives one result for each item, in their order, and does all of them or none;
 * an item that PostgreSQL refuses fails alone.
 */
export function together<Pool extends Queryable, Item, Result>(
  work: (db: Pool, items: Item[]) => Promise<Result[]>,
  spacingMs = 0,
): (db: Pool, item: Item) => Promise<Result> {
  const pools = new WeakMap<Pool, Batcher<Item, Result>>();
  return (db, item) => {
    let batcher = pools.get(db);
    if (!batcher) {
      batcher = new Batcher(items => work(db, items), maxKeys, isRefusedStatement, spacingMs);
      pools.set(db, batcher);
    }
    return batcher.add(item);
  };
}

/** The pool has a method of this name. */
const isTransaction = (db: Queryable | Transaction) => 'transaction' in db && db.transaction === true;

/** What `lookUp` wants of rows that carry their key. */
export function inOrderOf<Key, Row>(keys: Key[], rows: Row[], keyOf: (row: Row) => Key): (Row | null)[] {
  const found = new Map(rows.map(row => [keyOf(row), row]));
  return keys.map(key => found.get(key) ?? null);
}

/** As `inOrderOf`, where a key may have several rows: null for one that has none. */
export function groupsInOrderOf<Key, Row>(keys: Key[], rows: Row[], keyOf: (row: Row) => Key): (Row[] | null)[] {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return keys.map(key => groups.get(key) ?? null);
}
