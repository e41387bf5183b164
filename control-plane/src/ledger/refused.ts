/** What the database refuses of a posting that is otherwise right, as a failure in words. */
import pg from 'pg';
import { Failure } from '../platform/index.js';

/** Runs a posting that takes money; `shortage` says who has too little. */
export async function covered<T>(posting: Promise<T>, shortage: string): Promise<T> {
  try {
    return await posting;
  } catch (error) {
    if (error instanceof pg.DatabaseError) {
      if (error.constraint === 'ledger_balances_covered') throw new Failure('conflict', shortage);
      if (error.constraint === 'ledger_balances_closed_is_empty') throw new Failure('conflict', 'the hold is closed');
      if (error.code === numberOutOfRange) throw new Failure('conflict', 'more than an account can hold');
    }
    throw error;
  }
}

const numberOutOfRange = '22003';
