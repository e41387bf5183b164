/** A simulated day of 125,000 machines with about 1,000,000 accelerators, through the real queue and the real matching core. */
import { simulateDay, worldSize } from '../simulator/index.js';
import { report } from './measure.js';

const aimMinutes = 10;
const { breach, ...figures } = simulateDay(1, worldSize, line => process.stderr.write(`${line}\n`));
report('simulated-day', { ...figures, broken: breach?.message ?? null, aim: `minutes (taken as <= ${aimMinutes})` });
if (breach) process.exitCode = 1;
