/** Attacks on the proof that are carried out, in a conversation, by machines that cheat. */
import { leafDigest, pathOf, tree } from '../../core/verification/merkle.js';
import { type Seeded, seeded } from '../../core/verification/testing/seeded.js';
import { challenged, contextFor, expectation, type Outcome } from './challenge.js';
import { type Cheat, hash, newDeviceKey, ProvingMachine } from './machine.js';

/** Of the device whose key is enrolled, and of another one. */
const [own, other] = [newDeviceKey(), newDeviceKey()];

export interface Attack {
  name: string;
  how: string;
  /** A challenge of the attacker, with a seed of its own. */
  run(seed: number): Promise<Outcome>;
}

interface Setting {
  cheat?: Cheat;
  passMs?: number;
  roundTripMs?: number;
  seed: number;
}

function challenge({ cheat, passMs = 1_000, roundTripMs = 1, seed }: Setting): Promise<Outcome> {
  const clock = { ms: 0 };
  const machine = new ProvingMachine(own, { clock, passMs: () => passMs, roundTripMs, ...(cheat ? { cheat } : {}) });
  return challenged(machine.stream(), own.public, clock, options(seed));
}

/** The key in the context is a fixed text, so that all numbers come again; signatures are checked with the real one. */
const options = (seed: number) => {
  const random = seeded(seed);
  const bytes = Array.from({ length: 32 }, () => random.below(256).toString(16).padStart(2, '0')).join('');
  return { context: contextFor('ssh-ed25519 fixed', { seed: bytes }), uniform: (below: number) => random.below(below) };
};

/** A conversation of another hour, kept by a machine that answers with it now. */
async function recorded(seed: number): Promise<ProvingMachine['answers']> {
  const clock = { ms: 0 };
  const machine = new ProvingMachine(own, { clock, passMs: () => 1_000 });
  const earlier = options(seed + 1_000_000);
  await challenged(machine.stream(), own.public, clock, {
    ...earlier,
    context: { ...earlier.context, hour: '2026-11-26T18:00:00.000Z' },
  });
  return machine.answers;
}

const spoilt = (rows: Int8Array[], part: number, random: Seeded): Int8Array[] =>
  rows.map(row => row.map(number => (random.next() < part ? (number + 65) % 64 : number)));

/** Factors with four significant bits, as floats of 8 bits (E4M3) have. */
const coarse = (value: number): number => {
  const step = Math.max(1, 2 ** (Math.floor(Math.log2(Math.abs(value) || 1)) - 3));
  return Math.round(value / step) * step;
};

const coarseNumbers = Int8Array.from({ length: 256 }, (_, at) => coarse(at - 128));

function coarseDot(left: Int8Array, right: Int8Array): number {
  let sum = 0;
  for (let at = 0; at < left.length; at += 1) {
    sum +=
      (coarseNumbers[(left[at] as number) + 128] as number) * (coarseNumbers[(right[at] as number) + 128] as number);
  }
  return sum;
}

export const attacks: readonly Attack[] = [
  {
    name: 'replay of an old answer',
    how: 'all answers of another hour, as they were sent then',
    run: async seed => {
      const old = await recorded(seed);
      let at = 0;
      return challenge({ seed, cheat: { answer: () => old[at++] ?? null } });
    },
  },
  {
    name: "another hour's answer, signed anew",
    how: 'the work done with the keys of another hour, signed for this one',
    run: seed => challenge({ seed, cheat: { key: key => key.split('').reverse().join('') } }),
  },
  {
    name: 'pre-computation',
    how: 'layers computed before the seed is known, signed when the key comes',
    run: seed => challenge({ seed, cheat: { key: () => '5a'.repeat(32) } }),
  },
  {
    name: "another device's key",
    how: 'right work, signed by another enrolled device',
    run: seed => challenge({ seed, cheat: { signature: (_own, text) => other.sign(text) } }),
  },
  {
    name: 'no signature of its own',
    how: 'right work, with the signature of the pass before',
    run: seed => {
      let before = '';
      const signature = (honest: string) => {
        const used = before || honest;
        before = honest;
        return used;
      };
      return challenge({ seed, cheat: { signature } });
    },
  },
  {
    name: 'skipping part of the work',
    how: 'one number in ten of each layer is made up',
    run: seed => {
      const random = seeded(seed);
      return challenge({ seed, cheat: { rows: (rows, pass) => (pass === 0 ? rows : spoilt(rows, 0.1, random)) } });
    },
  },
  {
    name: 'skipping all of it',
    how: 'each layer is a copy of the one before',
    run: seed => {
      let kept: Int8Array[] | undefined;
      const rows = (honest: Int8Array[]) => {
        kept ??= honest;
        return kept;
      };
      return challenge({ seed, cheat: { rows } });
    },
  },
  {
    name: 'low precision',
    how: 'factors with four significant bits, as 8-bit floats have',
    run: seed =>
      challenge({
        seed,
        cheat: { product: coarseDot },
      }),
  },
  {
    name: 'forged commitment',
    how: 'a root of nothing, chosen among 100 for luck; rows shown with paths that were made up',
    run: seed => {
      const random = seeded(seed);
      const roots = Array.from({ length: 100 }, () =>
        Array.from({ length: 32 }, () => random.below(256).toString(16).padStart(2, '0')).join(''),
      );
      return challenge({ seed, cheat: { root: () => roots.sort()[0] ?? '' } });
    },
  },
  {
    name: 'commitment before the work',
    how: 'the root of a layer of noise at once, the right rows when they are asked for',
    run: seed => {
      const noise = tree(
        hash,
        Array.from({ length: 128 }, (_, row) => leafDigest(hash, Int8Array.of(row - 64))),
      );
      const root = Buffer.from(noise.at(-1)?.[0] ?? []).toString('hex');
      return challenge({
        seed,
        passMs: 10,
        cheat: {
          root: () => root,
          open: (honest, asked) => honest.map((one, at) => ({ ...one, path: pathOf(noise, asked[at]?.[1] ?? 0) })),
        },
      });
    },
  },
  {
    name: 'two stories',
    how: 'the layer before is shown otherwise than it was committed to, so that wrong numbers come out right',
    run: seed =>
      challenge({
        seed,
        cheat: {
          rows: (rows, pass) => (pass === 2 ? rows.map(row => row.map(() => 0)) : rows),
          open: (honest, asked) =>
            honest.map((one, at) => (asked[at]?.[0] === 1 ? { ...one, row: one.row.map(n => n + 1) } : one)),
        },
      }),
  },
  {
    name: 'late answers',
    how: 'half as slow again as its model',
    run: seed => challenge({ seed, passMs: expectation.typicalMs === null ? 0 : expectation.typicalMs * 1.5 }),
  },
  {
    name: 'clock tricks',
    how: 'half as slow again, and round trips held back for 5 s to have them taken off',
    run: seed => challenge({ seed, passMs: 1_500, roundTripMs: 5_000 }),
  },
  {
    name: 'refusing challenges',
    how: 'a fault is said whenever work is due',
    run: seed =>
      challenge({
        seed,
        cheat: { answer: (honest, { type }) => (type === 'pass' ? { type: 'fault', message: 'not now' } : honest) },
      }),
  },
];
