/**
 * The proof that a device is what it says: what control plane, agent and the program that works on the device say to each
 * other, one JSON value a line.
 *
 * The control plane opens a stream `prove` (agent-protocol.ts). It sends `proofRequest`s, the agent answers with
 * `proofAnswer`s; the agent hands all but pings to a program for the device's kind, over the program's stdin and stdout,
 * and signs the roots that come back with the device key. What is to be computed is defined in the control plane's
 * core/verification/work.ts; every program has to come to the same bits.
 */
import { z } from 'zod';

const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 32 bytes as hexadecimal');
const base64 = z.string().regex(/^[A-Za-z0-9+/]*=*$/, 'expected base64');

/** At most so many rows are asked for at once. */
export const maxOpenings = 512;

/** The size of the work. Two layers of `blocks` matrices of `rowLength` × `rowLength` bytes are held at a time. */
export const proofWork = z
  .strictObject({
    rowLength: z
      .union([z.literal(16), z.literal(64), z.literal(256), z.literal(1024)])
      .describe('rows and columns of a matrix: a power of 4'),
    blocks: z.int().min(1).max(4_194_304).describe('matrices in a layer'),
    passes: z.int().min(1).max(64).describe('layers that are computed after the first'),
    products: z.int().min(1).max(16).describe('matrix products that are added up for each matrix of a layer'),
  })
  .meta({ id: 'ProofWork' });
export type ProofWork = z.infer<typeof proofWork>;

export const proofRequest = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ping'), count: z.int() }),
  /** Make room for the work and say `ready`. Index null: the machine's processors. */
  z.object({
    type: z.literal('begin'),
    device: z.object({ index: z.int().min(0).nullable(), vendor: z.string().max(32) }),
    work: proofWork,
  }),
  /** Compute a layer, the first (pass 0) or the next, and say its root. */
  z.object({ type: z.literal('pass'), pass: z.int().min(0).max(64), key: hex32 }),
  /** Show these rows of the layer just committed to (0) or of the one before (1), with their paths to the root. */
  z.object({
    type: z.literal('open'),
    rows: z.array(z.tuple([z.union([z.literal(0), z.literal(1)]), z.int().min(0)])).max(maxOpenings),
  }),
]);
export type ProofRequest = z.infer<typeof proofRequest>;

/** `path`: the digests beside the way to the root, from the row up, each 32 bytes. */
export const proofOpening = z.object({ row: base64.max(2_048), path: base64.max(8_192) });
export type ProofOpening = z.infer<typeof proofOpening>;

export const proofAnswer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('pong'), count: z.int() }),
  z.object({ type: z.literal('ready') }),
  /** `signature`: of the device key over `commitmentText`; the agent's, absent between it and its program. */
  z.object({ type: z.literal('root'), pass: z.int(), root: hex32, signature: base64.max(128).optional() }),
  z.object({ type: z.literal('opened'), openings: z.array(proofOpening).max(maxOpenings) }),
  /** The work cannot be done here; the program ends. */
  z.object({ type: z.literal('fault'), message: z.string().max(1_024) }),
]);
export type ProofAnswer = z.infer<typeof proofAnswer>;

/** What the device key signs: a root, of this pass and no other. */
export const commitmentText = (passKey: string, pass: number, root: string): string =>
  `iocloud proof 1\npass ${pass}\nkey ${passKey}\nroot ${root}\n`;
