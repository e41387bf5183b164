/** A job that counts with a checkpoint after each step and leaves a mark of all that it does, for tests of faults. */
import { readFileSync, writeFileSync } from 'node:fs';
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

const enoughFile = (stack: Stack, id: string) => `${marksFile(stack, id)}.enough`;
/** Lets the job finish at its next step, however far it has counted. */
export const letFinish = (stack: Stack, id: string) => writeFileSync(enoughFile(stack, id), '');

/** Counts to `steps`, four a second, or until it is let finish. */
export function counting(stack: Stack, id: string, steps: number): string {
  const say = (what: Mark['what']) => `echo "$(date +%s%3N) ${what} $IOCLOUD_ATTEMPT $n" >> ${marksFile(stack, id)}`;
  const more = `[ $n -lt ${steps} ] && [ ! -e ${enoughFile(stack, id)} ]`;
  return [
    'd=$IOCLOUD_CHECKPOINT_DIR; n=$(cat $d/step 2>/dev/null || echo 0)',
    `${say('began')}; echo "attempt $IOCLOUD_ATTEMPT of $IOCLOUD_SUBMISSION_ID goes on from step $n"`,
    `while ${more}; do sleep 0.25; n=$((n+1)); echo $n > $d/new; mv $d/new $d/step; ${say('stepped')}; done`,
    say('finished'),
  ].join('; ');
}

/** The same as a Ray task that needs the resource `there`, without a checkpoint: it begins anew where its worker was lost. */
export function countingTask(stack: Stack, id: string, steps: number): string {
  const program = [
    'import os, ray, time',
    'def say(what, n):',
    `    open("${marksFile(stack, id)}", "a").write("%d %s 1 %d\\n" % (time.time() * 1000, what, n))`,
    'ray.init()',
    '@ray.remote(resources={"there": 1}, max_retries=-1)',
    'def work():',
    '    n = 0',
    '    say("began", n)',
    `    while n < ${steps} and not os.path.exists("${enoughFile(stack, id)}"):`,
    '        time.sleep(0.25)',
    '        n += 1',
    '        say("stepped", n)',
    'ray.get(work.remote())',
    'say("finished", 0)',
  ].join('\n');
  return `python -c '${program}'`;
}
