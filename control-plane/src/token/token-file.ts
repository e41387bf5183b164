/** IOCLOUD_TOKEN_FILE: when emission begins, by which schedule, and the first parameters. What it does not say keeps its default. */
import { parseUnits, type TokenParameters, tokenParameterChanges } from '@iocloud/contracts';
import { z } from 'zod';
import {
  changedParameters,
  defaultParameters,
  type EmissionTerms,
  parametersFault,
  publishedEmission,
} from '../core/token/index.js';
import { faultOf, readStated } from '../platform/index.js';

const io = z
  .string()
  .refine(text => parseUnits(text, 'IO') !== null, 'an amount of IO such as "500000000"')
  .transform(text => parseUnits(text, 'IO') ?? 0n);
const schema = z.strictObject({
  genesis: z.iso
    .datetime()
    .refine(text => Date.parse(text) % 3_600_000 === 0, 'a full hour, such as 2027-01-01T00:00:00Z')
    .optional(),
  emission: z
    .strictObject({
      initialSupply: io,
      cap: io,
      firstYearPpm: z.int().min(0).max(1_000_000),
      monthlyDeclinePpm: z.int().min(0).max(500_000),
      hours: z.int().min(1).max(1_000_000),
    })
    .partial()
    .optional(),
  parameters: tokenParameterChanges.optional(),
});

export interface TokenFile {
  genesis: Date | null;
  emission: EmissionTerms;
  parameters: TokenParameters;
}

/** Throws ConfigError, in one line, where the file cannot be read or says what cannot be. */
export async function loadToken(file: string | undefined): Promise<TokenFile> {
  if (file === undefined) return { genesis: null, emission: publishedEmission, parameters: defaultParameters };
  const named = { key: 'IOCLOUD_TOKEN_FILE', file, docs: 'docs/token.md' };
  const { genesis, emission: stated = {}, parameters: changes = {} } = await readStated(named, schema);
  const emission: EmissionTerms = {
    initialSupply: stated.initialSupply ?? publishedEmission.initialSupply,
    cap: stated.cap ?? publishedEmission.cap,
    firstYearPpm: BigInt(stated.firstYearPpm ?? publishedEmission.firstYearPpm),
    monthlyDeclinePpm: BigInt(stated.monthlyDeclinePpm ?? publishedEmission.monthlyDeclinePpm),
    hours: stated.hours ?? publishedEmission.hours,
  };
  if (emission.cap < emission.initialSupply) throw faultOf(named, 'emission.cap is below emission.initialSupply');
  const parameters = changedParameters(defaultParameters, changes);
  const fault = parametersFault(parameters);
  if (fault) throw faultOf(named, `parameters: ${fault}`);
  return { genesis: genesis === undefined ? null : new Date(genesis), emission, parameters };
}
