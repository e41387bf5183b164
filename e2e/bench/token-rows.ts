/** The peer of an hour of emission: its rows, without it. */
import type { TokenTrial } from '@iocloud/control-plane/token/testing';

/** What an hour has put on record, inserted once more into tables of the same form, with nothing found or computed. */
export class RawHours {
  constructor(readonly db: TokenTrial['database']) {}

  async prepare(): Promise<void> {
    for (const table of tables) await this.db.query(`CREATE TABLE raw_${table} (LIKE ${table} INCLUDING ALL)`);
  }

  async insert(hour: number): Promise<void> {
    await this.db.transaction(async tx => {
      for (const table of tables) {
        const wanted = table === 'ledger_postings' ? postingsOf : `SELECT * FROM ${table} WHERE hour = $1`;
        await tx.query(`INSERT INTO raw_${table} ${wanted}`, [hour]);
      }
    });
  }
}

const tables = ['token_machine_hours', 'token_rewards', 'ledger_postings'];
const postingsOf = `SELECT p.* FROM ledger_postings p JOIN ledger_transactions t ON t.id = p.transaction_id
  WHERE t.idempotency_key LIKE 'emission:' || $1::int || ':%'`;
