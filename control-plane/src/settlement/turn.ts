/**
 * One turn of settlement, by one replica at a time. Every step commits by itself and begins from what is on record and on
 * the chain, so a turn may be cut short anywhere. That there is only one at a time saves work; that nothing is paid twice
 * rests on the nonces and the database's rules.
 */

import { type Logger, Recurring } from '../platform/index.js';
import { ChainUnreachable } from './chain/rpc.js';
import { sendUnder, unended } from './chain-transactions.js';
import { watchDeposits } from './deposits.js';
import { makeNonceAccounts } from './nonces.js';
import { settleOutcomes } from './outcomes.js';
import { isPaused } from './pause.js';
import { reserveConfirmed, signPayouts } from './paying.js';
import { type AssetBalance, reconcile } from './reconciling.js';
import { runSchedules } from './schedules.js';
import { signSweeps } from './sweeping.js';
import { settlementLock, tellOperators, type World } from './world.js';

/** False: another replica is at it. */
export const settlementTurn = (world: World): Promise<boolean> =>
  world.database.alone(settlementLock, () => turn(world));

async function turn(world: World): Promise<void> {
  const problems = await makeNonceAccounts(world);
  problems.push(...(await settleOutcomes(world)));
  await watchDeposits(world);
  const balances = await reconcile(world);
  await runSchedules(world);
  await reserveConfirmed(world);
  if (await isPaused(world.database)) problems.push('pay-outs and sweeps are paused: chain and ledger differ');
  else {
    problems.push(...(await signPayouts(world)));
    problems.push(...(await signSweeps(world)));
    await sendSigned(world);
  }
  await conclude(world, balances, problems);
}

async function sendSigned(world: World): Promise<void> {
  for (const row of await unended(world.database)) if (row.state === 'signed') await sendUnder(world, row);
}

/** What it found, for `iocloud settlement status`; a problem that was not there the turn before is told once. */
async function conclude(world: World, balances: readonly AssetBalance[], problems: string[]): Promise<void> {
  const [payer] = await world.chain.accounts([world.feePayer]);
  const has = payer?.lamports ?? 0n;
  const slot = await world.chain.slot();
  const low = 'the fee payer is low on SOL';
  if (has < world.terms.fees.lowLamports) problems.push(`${low}: send some to ${world.feePayer}`);
  await world.database.transaction(async tx => {
    const { rows } = await tx.query<{ problems: string[] }>('SELECT problems FROM settlement_turns FOR UPDATE');
    // Without the figures in them: the same problem with other amounts is no news.
    const known = new Set((rows[0]?.problems ?? []).map(withoutFigures));
    for (const message of problems.filter(problem => !known.has(withoutFigures(problem)))) {
      const severity = message.startsWith(low) ? 'error' : 'warning';
      await tellOperators(world, tx, { reason: 'SettlementProblem', message, severity });
    }
    const told = balances.map(({ asset, onChain, inBooks, difference }) => ({
      ...{ asset, onChain: String(onChain), inBooks: String(inBooks), difference: String(onChain - inBooks) },
      unexplained: String(difference),
    }));
    await tx.query(
      `INSERT INTO settlement_turns (at, slot, fee_payer_lamports, balances, problems) VALUES (now(), $1, $2, $3, $4)
       ON CONFLICT (one) DO UPDATE SET at = excluded.at, slot = excluded.slot, balances = excluded.balances,
         fee_payer_lamports = excluded.fee_payer_lamports, problems = excluded.problems`,
      [String(slot), String(has), JSON.stringify(told), problems],
    );
  });
}

const withoutFigures = (problem: string) => problem.replace(/\d+(\.\d+)?/g, '#');

export const settlementSweep = (world: World, log: Logger): Recurring =>
  new Recurring(
    'settlement',
    world.terms.turnSeconds * 1_000,
    async () => {
      await settlementTurn(world);
    },
    error =>
      error instanceof ChainUnreachable
        ? log.warn({ error: error.message }, 'settlement waits for its Solana node; again soon')
        : log.error({ err: error }, 'a turn of settlement failed; again soon'),
  );
