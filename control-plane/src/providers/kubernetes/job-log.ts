/** The log that Ray keeps of a job's driver, read in the pod that has it. */
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { firstLine } from '@iocloud/contracts/wire';
import type { Connection, Pod } from '@iocloud/ray-operator';
import { StreamRefused } from '../../inventory/index.js';
import { CommandFailed, runInPod } from './channels.js';

const notThere = 44;
const maxIdLength = 200;
const lookAgainMs = 500;
const longestFirstLine = 100;
const answerTimeoutMs = 10_000;

/**
 * $1: submission id, $2: offset, $3: whether it goes on. First comes a line that says that there is a log. What goes on
 * ends with its standard input, and so with the connection; what does not is as long as the log is now.
 */
const script = `
f=$(ls -t /tmp/ray/session_2*/logs/job-driver-"$1".log 2>/dev/null | head -n 1)
[ -n "$f" ] || exit ${notThere}
size=$(stat -c %s "$f"); bytes=$((size > $2 ? size - $2 : 0)); echo log
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
): Promise<PassThrough> {
  const notFound = new StreamRefused('not-found', `no log of ${request.submissionId} is there`);
  if (!isSafe(request.submissionId)) throw notFound;
  const find = async (): Promise<PassThrough | null> => {
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
  const output = await runInPod(connection, path, container, command);
  try {
    if (output.errored) throw output.errored;
    await firstLine(output, longestFirstLine, answerTimeoutMs);
    return output;
  } catch (error) {
    const failure = output.errored ?? error;
    output.destroy();
    if (failure instanceof CommandFailed && failure.exitCode === notThere) return null;
    throw new StreamRefused('internal', `the log could not be read: ${String(failure)}`);
  }
}
