/**
 * An hour of emission for very many machines, from what is on record of them to its postings, and beside it the rows that it
 * leaves, inserted once more inside the database with nothing found or computed. For a fleet and one of four times its size: is
 * it linear?
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { insertFleet, insertProofs, TokenTrial } from '@iocloud/control-plane/token/testing';
import { median, report } from './measure.js';
import { RawHours } from './token-rows.js';

const { values: options } = parseArgs({
  options: { machines: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '3' } },
});
const rounds = Number(options.rounds);

async function measure(machines: number) {
  const trial = await TokenTrial.start();
  const { database } = trial.ground;
  try {
    await insertFleet(database, machines, Math.ceil(machines / 10));
    const raw = new RawHours(trial.database);
    await raw.prepare();
    const times: { ours: number; peer: number }[] = [];
    // The first, in which code is compiled and accounts are opened, does not count.
    for (let hour = 1; hour <= rounds + 1; hour += 1) {
      await insertProofs(database, trial.hour(hour));
      await database.query('ANALYZE verifications');
      const started = performance.now();
      await trial.sweepAfterHour(hour);
      const emitted = performance.now();
      await raw.insert(hour);
      if (hour > 1) times.push({ ours: emitted - started, peer: performance.now() - emitted });
    }
    const faults = await trial.faults();
    const unexpected = faults.filter(fault => !/^stake tn_fleet_/.test(String(fault)));
    if (unexpected.length > 0) throw new Error(`what was emitted does not add up: ${JSON.stringify(unexpected)}`);
    const { rows } = await database.query('SELECT eligible FROM token_hours WHERE eligible <> $1', [machines]);
    if (rows.length > 0) throw new Error('not all machines were rewarded');
    return {
      machines,
      accelerators: 8 * machines,
      oursMs: Math.round(median(times.map(({ ours }) => ours))),
      peerMs: Math.round(median(times.map(({ peer }) => peer))),
      ratio: median(times.map(({ ours, peer }) => ours / peer)),
    };
  } finally {
    await trial.stop();
  }
}

const small = await measure(Number(options.machines));
const large = await measure(4 * Number(options.machines));
report('token-hour', {
  peer: 'the rows that the hour leaves, inserted once more inside the database',
  small,
  large,
  growth: large.oursMs / small.oursMs,
  loadAverage: loadavg()[0],
  cpus: cpus().length,
});
