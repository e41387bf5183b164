/** JSON files in which an operator says what an environment variable has no room for; read once, at the start. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { ConfigError } from './config.js';

export interface StatedFile {
  /** The variable that names it. */
  key: string;
  file: string;
  /** Where it is written up. */
  docs: string;
}

/** One line: by which variable, in which file, what is wrong, and where it is written up. */
export const faultOf = ({ key, file, docs }: StatedFile, why: string, cause?: unknown): ConfigError =>
  new ConfigError(`${key}: ${file}: ${why} (${docs})`, { cause });

/** Throws ConfigError where it cannot be read or is not what the schema takes. */
export async function readStated<Schema extends z.ZodType>(
  stated: StatedFile,
  schema: Schema,
): Promise<z.output<Schema>> {
  const text = await readFile(stated.file, 'utf8').catch(error => {
    throw faultOf(stated, `cannot be read: ${error.code ?? error}`, error);
  });
  return parseStated(text, schema, (why, cause) => faultOf(stated, why, cause));
}

/** Throws what `fault` makes of the reason. */
export function parseStated<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  fault: (why: string, cause?: unknown) => Error,
): z.output<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fault(`the file is no JSON: ${(error as Error).message}`, error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw fault(faults.join('; '));
}
