/** Takes an array in: the array and all its indices are on the disk together before anybody is told that it is. */
import { arrayMetadataKeys, type JobId, newId, type RayJobSubmission } from '@iocloud/contracts';
import { arrayInWords, countsOf, emptyTally, mayGo } from '../../core/arrays/index.js';
import { recordEvents } from '../../events/index.js';
import { type Database, Failure, type Signals, type Transaction, wake } from '../../platform/index.js';
import { freshMessage, insertJobs, type NewJob, submitted } from '../intake.js';
import { countSubmitted } from '../metrics.js';
import type { RandomBytes } from '../store.js';
import { indexSuffix, type Submission } from '../submission.js';

export interface ArrayLimits {
  /** Indices. */
  maxArraySize: number;
}

interface Wiring {
  database: Database;
  signals: Signals;
  random: RandomBytes;
  now(): number;
}

type Asked = Omit<NewJob, 'id' | 'submittedAt' | 'part'>;
type Array = NonNullable<Submission['array']>;

/** Rows of one statement: enough for the round trips not to count, few enough not to fill the memory. */
const rowsAtOnce = 1_000;
/** Each index keeps its submission, so that it can be changed and read like any other job's. */
const maxTotalBytes = 64 * 2 ** 20;
const arrayKeys: readonly string[] = arrayMetadataKeys;
const heldMessage = 'Waiting for its turn: io.array_max_parallel indices are going.';

/** Throws Failure 'bad-request'. */
export function refuseTooLarge(
  { array, body }: Pick<Submission, 'array' | 'body'>,
  { maxArraySize }: ArrayLimits,
): void {
  if (array === null) return;
  if (array.size > maxArraySize) {
    throw refusal(`metadata key io.array: at most ${maxArraySize} indices are taken here (IOCLOUD_MAX_ARRAY_SIZE)`);
  }
  const eachBytes = Buffer.byteLength(JSON.stringify(body));
  if (eachBytes * array.size > maxTotalBytes) {
    const words = `a submission of ${eachBytes} bytes can have ${Math.floor(maxTotalBytes / eachBytes)} indices at most`;
    throw refusal(
      `metadata key io.array: ${words}; put what is large into the working directory, which is stored once`,
    );
  }
}

/** Null when the tenant has a job with this submission id; then nothing has been done. Throws Failure 'bad-request'. */
export async function takeArray(wiring: Wiring, asked: Asked, array: Array): Promise<JobId | null> {
  const job: NewJob = { ...asked, id: newId('job', wiring.random), submittedAt: new Date(wiring.now()) };
  const taken = await wiring.database.transaction(async tx => {
    const [first] = await insertJobs(tx, [arrayOf(job, array)]);
    if (first === undefined) return false;
    // In the order of their ids, by which the queue goes among equals.
    const ids = Array.from({ length: array.size }, () => newId('job', wiring.random)).sort();
    for (let from = 0; from < array.size; from += rowsAtOnce) {
      await insertIndices(tx, job, array, from, ids.slice(from, from + rowsAtOnce));
    }
    const news = submitted(job);
    await recordEvents(tx, [{ ...news, message: `${news.message} (an array of ${array.size})` }]);
    countSubmitted(
      tx,
      Array.from({ length: array.size }, () => job.submission),
    );
    await wake(tx, 'dispatch', 'all');
    return true;
  });
  if (taken) wiring.signals.send(`events:${job.tenantId}`);
  return taken ? job.id : null;
}

function arrayOf(job: NewJob, { size, maxParallel }: Array): NewJob {
  const tally = { ...emptyTally, held: size };
  const message = arrayInWords(tally, size);
  return {
    ...job,
    part: { message, held: true, size, maxParallel, counts: countsOf(tally), arrayId: null, index: null },
  };
}

/** Those from this index on, as many as there are ids. */
async function insertIndices(tx: Transaction, job: NewJob, array: Array, from: number, ids: JobId[]): Promise<void> {
  const { size, maxParallel } = array;
  const submission = ofOneIndex(job.submission);
  const going = mayGo('queued', { ...emptyTally, held: size }, maxParallel);
  const indices = ids.map((id, place): NewJob => {
    const index = from + place;
    const held = index >= going;
    const message = held ? heldMessage : freshMessage;
    const part = { message, held, size, maxParallel: null, counts: null, arrayId: job.id, index };
    return { ...job, id, submissionId: `${job.submissionId}${indexSuffix(index)}`, submission, part };
  });
  const inserted = await insertJobs(tx, indices);
  const taken = indices.find(({ id }) => !inserted.has(id));
  if (taken) {
    throw refusal(
      `a job with submission_id ${taken.submissionId} exists, which an index of this array would be called`,
    );
  }
}

/** Nothing in it makes an array again. */
function ofOneIndex(submission: Submission): Submission {
  const metadata = withoutArray(submission.metadata);
  const body: RayJobSubmission = { ...submission.body, metadata };
  return { ...submission, array: null, metadata, body };
}

const withoutArray = (metadata: Record<string, string> | null) =>
  Object.fromEntries(Object.entries(metadata ?? {}).filter(([key]) => !arrayKeys.includes(key)));

const refusal = (text: string) => new Failure('bad-request', `ValueError: ${text}`);
