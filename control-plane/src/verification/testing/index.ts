/** Attacks on the proof and what becomes of them, for the tests, the tables and the benchmark. */
import { attacks } from './attacks.js';
import { carriedOut, models, recordings, timeRows } from './outcomes.js';

export { sha256 } from '../sha256.js';

/** The part caught of each attack, each carried out in so many conversations or drawn; and of the honest turned away. */
export async function attackRates(conversations: number): Promise<Record<string, unknown>> {
  const caught: [string, number][] = [];
  for (const attack of attacks) caught.push([attack.name, (await carriedOut(attack, conversations)).caught]);
  for (const row of timeRows()) caught.push([`${row.attack}: ${row.how}`, row.caught]);
  const { pairs, apart, honest } = models();
  const known = recordings();
  return {
    caughtWithinAnHour: Object.fromEntries(caught),
    aimCaught: 0.99,
    classesThatMeetIt: caught.filter(([, rate]) => rate >= 0.99).length,
    classes: caught.length,
    falseRejects: {
      dataSheet: honest,
      ...Object.fromEntries(known.map(({ recording, quiet }) => [recording.model, quiet])),
      withNeighbour: Object.fromEntries(known.map(({ recording, neighbour }) => [recording.model, neighbour])),
      aim: 0.001,
    },
    modelPairsToldApart: { apart, pairs, ratio: apart / pairs },
  };
}
