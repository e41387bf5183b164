/** What became of each attack, and of honest devices: the tables of docs/verification.md. */
import { acceleratorOf } from '../../core/matching/index.js';
import { latestShare, type Recorded, recomputation, recorded, rejectRate } from '../../core/verification/index.js';
import { type Seeded, seeded } from '../../core/verification/testing/seeded.js';
import { type Attack, attacks } from './attacks.js';
import {
  assumedSpread,
  caughtByTime,
  drawn,
  expectationOfModel,
  expectationOfRecorded,
  lesserModels,
  type Pair,
  spreadFactor,
  window,
} from './time-attacks.js';

export interface Row {
  attack: string;
  how: string;
  /** The part of `of` that is caught within an hour. */
  caught: number;
  of: string;
  by: string;
}

const conversations = 8;
const kept = new Map<string, Promise<Row>>();

/** In this process each is carried out once. */
export function conversationRow(attack: Attack): Promise<Row> {
  const row = kept.get(attack.name) ?? carriedOut(attack, conversations);
  kept.set(attack.name, row);
  return row;
}

/** Those that may be bad luck have to fail twice, as they have to before they count. */
export async function carriedOut({ name, how, run }: Attack, conversations: number): Promise<Row> {
  let caught = 0;
  const reasons = new Set<string>();
  for (let seed = 1; seed <= conversations; seed += 1) {
    const first = await run(seed);
    const last = first.judgement.again ? await run(seed + 500_000) : first;
    if (last.by !== null) reasons.add(last.by);
    if (!last.judgement.passed) caught += 1;
  }
  return {
    attack: name,
    how,
    caught: caught / conversations,
    of: `${conversations} conversations`,
    by: [...reasons].sort().join(', ') || '-',
  };
}

const trials = 5_000;
const h100 = acceleratorOf('h100-sxm');

function timeRow(attack: string, how: string, factorOf: (pass: number) => number, random: Seeded): Row {
  if (!h100) throw new Error('the table has no H100');
  const expectation = expectationOfModel(h100);
  const caught = caughtByTime(expectation, () => drawn(expectation, factorOf, random), trials);
  return { attack, how, caught, of: `${trials} drawn challenges, H100 by data sheet`, by: caught > 0 ? 'time' : '-' };
}

let timed: Row[] | undefined;
/** In this process drawn once. */
export const timeRows = (): Row[] => {
  timed ??= drawnRows();
  return timed;
};

const drawnRows = (): Row[] => {
  const random = seeded(7);
  if (!h100) throw new Error('the table has no H100');
  const times = (factor: number) => () => factor;
  const rows = [
    timeRow('one device answers for two', 'both are challenged at once, and take turns', times(2), random),
    timeRow('shared device', 'a second tenant, or the half of it that MIG gives', times(2), random),
    timeRow('oversubscribed device', 'a third of it is used by others', times(1.5), random),
    ...[0.75, 0.5, 0.25].map(held =>
      timeRow(
        'too little memory',
        `holds ${held * 100} % of a layer and computes the rest again`,
        pass => recomputation(held, pass),
        random,
      ),
    ),
    timeRow(
      'memory of the host in place of its own',
      'a tenth of a layer lies behind PCIe (64 GB/s)',
      times(1 + hostMemoryFactor(0.1)),
      random,
    ),
    timeRow(
      'work spread over devices',
      'two machines, 100 Gbit/s between them',
      times(spreadFactor(h100, 2, 12.5)),
      random,
    ),
    timeRow(
      'work spread over devices',
      'two cards of its kind, NVLink (450 GB/s each way)',
      times(spreadFactor(h100, 2, 450)),
      random,
    ),
    timeRow('outsourcing', 'to an enrolled device that is challenged at the same time', times(2), random),
  ];
  const l4 = acceleratorOf('l4');
  const pair = lesserModels(0, random).find(one => one.claim === 'h100-sxm' && one.real === l4?.slug);
  rows.push(timeRow('spoofed model string', 'an L4 that calls itself H100', times(pair?.factor ?? 1), random));
  return rows;
};

/** Reads of that part of a layer at the link's pace, beside the usual time of a pass. */
function hostMemoryFactor(part: number): number {
  if (!h100) return 0;
  const { work, typicalMs } = expectationOfModel(h100);
  const bytes = work.blocks * work.rowLength ** 2 * 2 * work.products * part;
  return bytes / 64e9 / ((typicalMs ?? 1) / 1_000);
}

export interface Recording {
  recording: Recorded;
  /** Honest ones that are turned away, and what is certain of that with 95 %. */
  quiet: number;
  neighbour: number;
  certain: number;
  /** Two that answer on the same processors. */
  shared: number;
}

export const recordings = (): Recording[] =>
  recorded.map(recording => {
    const random = seeded(11);
    const expectation = expectationOfRecorded(recording);
    const rate = (ms: readonly number[]) =>
      caughtByTime(expectation, () => window(ms, expectation.test.passes, random), trials);
    const late = recording.quietMs.filter(ms => ms > expectation.slowestMs).length;
    return {
      recording,
      quiet: rate(recording.quietMs),
      neighbour: rate(recording.neighbourMs),
      certain: rejectRate(expectation.test, 1 - latestShare(late, recording.quietMs.length)),
      shared: rate(recording.sharedMs),
    };
  });

export interface Models {
  pairs: number;
  /** Told apart in 99 of 100 hours. */
  apart: number;
  /** The others, nearest first. */
  alike: Pair[];
  honest: number;
}

export function models(): Models {
  const random = seeded(13);
  const pairs = lesserModels(300, random);
  if (!h100) throw new Error('the table has no H100');
  const expectation = expectationOfModel(h100);
  return {
    pairs: pairs.length,
    apart: pairs.filter(({ caught }) => caught >= 0.99).length,
    alike: pairs.filter(({ caught }) => caught < 0.99).sort((a, b) => a.factor - b.factor),
    honest: caughtByTime(expectation, () => drawn(expectation, () => 1, random), trials),
  };
}

const percent = (part: number) => `${Number((100 * part).toFixed(4))} %`;

/** As Markdown. */
export async function tables(): Promise<string> {
  const rows: Row[] = [];
  for (const attack of attacks) rows.push(await conversationRow(attack));
  rows.push(...timeRows());
  const { pairs, apart, alike, honest } = models();
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const head = (cells: string[]) => [line(cells), line(cells.map(() => '---'))];
  return [
    ...head(['attack', 'how', 'caught within an hour', 'by', 'of']),
    ...rows.map(row => line([row.attack, row.how, percent(row.caught), row.by, row.of])),
    '',
    ...head([
      'processors',
      'honest, quiet: turned away',
      'certain (95 %)',
      'honest, with a neighbour',
      'two on one: caught',
      'passes recorded',
    ]),
    ...recordings().map(({ recording, quiet, certain, neighbour, shared }) =>
      line([
        `${recording.model}, ${recording.cpus} CPU${recording.cpus === 1 ? '' : 's'}, ${recording.date}`,
        percent(quiet),
        `≤ ${percent(certain)}`,
        percent(neighbour),
        percent(shared),
        `${recording.quietMs.length} + ${recording.neighbourMs.length} + ${recording.sharedMs.length}`,
      ]),
    ),
    '',
    `Of ${pairs} pairs of models of which the first has no less of anything, ${apart} are told apart in at least 99 of 100 hours, by data sheets`,
    `and times that vary by ${assumedSpread * 100} %; ${percent(honest)} of honest challenges fail. Not told apart (claims to be, is, times as long, caught):`,
    '',
    ...alike.map(pair => `- ${pair.claim}, ${pair.real}, ${pair.factor.toFixed(2)}, ${percent(pair.caught)}`),
  ].join('\n');
}
