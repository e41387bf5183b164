/** A job that counts with a checkpoint after each step and leaves a mark of all that it does, for tests of faults. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stack } from './stack.js';

export interface Mark {
  atMs: number;
  what: 'began' | 'stepped' | 'finished';
  attempt: number;
  /** How far it has counted. */
  step: number;
}

export const marksFile = (stack: Stack, id: string) => join(stack.shared, id);

export function marksOf(stack: Stack, id: string): Mark[] {
  let text = '';
  try {
    text = readFileSync(marksFile(stack, id), 'utf8');
  } catch {
    return [];
  }
  return text
    .trim()
    .split('\n')
    .map(line => {
      const [at, what, attempt, step] = line.split(' ');
      return { atMs: Number(at), what: what as Mark['what'], attempt: Number(attempt), step: Number(step) };
    });
}

/** Counts to `steps`, four a second. */
export function counting(stack: Stack, id: string, steps: number): string {
  const say = (what: Mark['what']) => `echo "$(date +%s%3N) ${what} $IOCLOUD_ATTEMPT $n" >> ${marksFile(stack, id)}`;
  return [
    'd=$IOCLOUD_CHECKPOINT_DIR; n=$(cat $d/step 2>/dev/null || echo 0)',
    `${say('began')}; echo "attempt $IOCLOUD_ATTEMPT of $IOCLOUD_SUBMISSION_ID goes on from step $n"`,
    `while [ $n -lt ${steps} ]; do sleep 0.25; n=$((n+1)); echo $n > $d/new; mv $d/new $d/step; ${say('stepped')}; done`,
    say('finished'),
  ].join('; ');
}
