/** The log that Ray keeps of a job's driver, read in the pod that has it. */
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, Pod } from '@iocloud/ray-operator';
import { StreamRefused } from '../../inventory/index.js';
import { CommandFailed, type CommandOutput, runInPod } from './channels.js';

const notThere = 44;
const maxIdLength = 200;
const lookAgainMs = 500;

/**
 * $1: submission id, $2: offset, $3: whether it goes on. First a line with the number of bytes that follow. What goes on
 * ends with its standard input, and so with the connection.
 */
const script = `
f=$(ls -t /tmp/ray/session_2*/logs/job-driver-"$1".log 2>/dev/null | head -n 1)
[ -n "$f" ] || exit ${notThere}
size=$(stat -c %s "$f"); bytes=$((size > $2 ? size - $2 : 0)); echo "$bytes"
if [ "$3" = true ]; then tail -c +$(($2 + 1)) -f "$f" & p=$!; cat >/dev/null; kill $p
else tail -c +$(($2 + 1)) "$f" | head -c "$bytes"; fi
`;

export interface LogRequest {
  submissionId: string;
  fromByte: number;
  follow: boolean;
}

/** A submission id comes from whoever submits a job: it must not name any other file. */
const isSafe = (id: string) => id !== '' && id.length <= maxIdLength && !/[/\\\0*?[\]]/.test(id) && !id.includes('..');

/** `pods`: those of the cluster, looked up anew each time. Throws StreamRefused 'not-found'. */
export async function openJobLog(
  connection: Connection,
  pods: () => { pod: Pod; path: string; container: string }[],
  request: LogRequest,
): Promise<Readable> {
  const notFound = new StreamRefused('not-found', `no log of ${request.submissionId} is there`);
  if (!isSafe(request.submissionId)) throw notFound;
  const find = async (): Promise<Readable | null> => {
    for (const { path, container } of pods()) {
      const found = await readIn(connection, path, container, request);
      if (found) return found;
    }
    return null;
  };
  const found = await find();
  if (found) return found;
  if (!request.follow) throw notFound;
  const answer = new PassThrough();
  void (async () => {
    try {
      while (!answer.destroyed) {
        await sleep(lookAgainMs);
        const late = answer.destroyed ? null : await find();
        if (late === null) continue;
        late.on('error', error => answer.destroy(error));
        answer.on('close', () => late.destroy());
        late.pipe(answer);
        return;
      }
    } catch (error) {
      answer.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  return answer;
}

async function readIn(connection: Connection, path: string, container: string, request: LogRequest) {
  const { submissionId, fromByte, follow } = request;
  const command = ['sh', '-c', script, 'sh', submissionId, String(fromByte), String(follow)];
  const running = await runInPod(connection, path, container, command);
  try {
    const { bytes, rest } = await firstNumber(running);
    return follow ? Readable.from(prepended(rest, running)) : Readable.from(exactly(bytes, rest, running));
  } catch (error) {
    running.close();
    if (error instanceof CommandFailed && error.exitCode === notThere) return null;
    throw new StreamRefused('internal', `the log could not be read: ${error instanceof Error ? error.message : error}`);
  }
}

async function firstNumber({ output }: CommandOutput): Promise<{ bytes: number; rest: Buffer }> {
  let head = Buffer.alloc(0);
  for (let at = -1; at < 0; ) {
    const { value, done } = await output.next();
    if (done) throw new Error('it ended without a word');
    head = Buffer.concat([head, value]);
    at = head.indexOf(10);
    if (at >= 0) return { bytes: Number(head.subarray(0, at).toString()), rest: head.subarray(at + 1) };
    if (head.length > 100) break;
  }
  throw new Error('it began with no number');
}

async function* prepended(rest: Buffer, { output, close }: CommandOutput): AsyncGenerator<Buffer> {
  try {
    if (rest.length > 0) yield rest;
    yield* output;
  } finally {
    close();
  }
}

async function* exactly(bytes: number, rest: Buffer, running: CommandOutput): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const chunk of prepended(rest, running)) {
    left -= chunk.length;
    yield chunk;
  }
  if (left !== 0) throw new Error(`the log ended ${left} bytes early`);
}
