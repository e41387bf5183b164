/** A long answer in pages, of one moment and without sorting it anew for each. */
import type pg from 'pg';
import type { Transaction } from './database.js';

/** One at a time in a transaction. A consumer that stops early leaves nothing open that the transaction's end does not close. */
export async function* pagesOf<Row extends pg.QueryResultRow>(
  tx: Transaction,
  text: string,
  values: readonly unknown[],
  atOnce: number,
): AsyncGenerator<Row[]> {
  // All of it will be read: the plan that gives the first rows soonest is not the one wanted.
  await tx.query('SET LOCAL cursor_tuple_fraction = 1');
  await tx.query(`DECLARE pages NO SCROLL CURSOR FOR ${text}`, [...values]);
  for (let count = atOnce; count === atOnce; ) {
    const { rows } = await tx.query<Row>(`FETCH ${atOnce} FROM pages`);
    count = rows.length;
    if (count > 0) yield rows;
  }
  await tx.query('CLOSE pages');
}
