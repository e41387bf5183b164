/** Finds and reads the log that Ray keeps of a job's driver, inside the folders of the Ray nodes of its cluster. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, realpath } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';

const chunkBytes = 64 * 1024;
const pollIntervalMs = 100;
const maxIdLength = 200;

/** A submission id comes from whoever submits a job: it must not name any other file. */
export function isSafeSubmissionId(id: string): boolean {
  return id !== '' && id.length <= maxIdLength && !/[/\\\0]/.test(id) && !id.includes('..');
}

/** Opens the log in the newest session folder that has it, or null. `sessionsDirs`: `…/tmp/ray` of each Ray node. */
export async function openJobLog(sessionsDirs: readonly string[], submissionId: string): Promise<FileHandle | null> {
  if (!isSafeSubmissionId(submissionId)) return null;
  const found: { directory: string; path: string; modifiedMs: number }[] = [];
  for (const directory of sessionsDirs) {
    for (const session of await readdir(directory).catch(() => [])) {
      if (!session.startsWith('session_') || session === 'session_latest') continue;
      const path = join(directory, session, 'logs', `job-driver-${submissionId}.log`);
      const info = await lstat(path).catch(() => null);
      if (info?.isFile()) found.push({ directory, path, modifiedMs: info.mtimeMs });
    }
  }
  const newest = found.sort((a, b) => b.modifiedMs - a.modifiedMs)[0];
  return newest ? openInside(newest.directory, newest.path) : null;
}

/**
 * Jobs own these folders and could lead us by a link to any file of the machine; what is above them is the agent's. So the
 * file is looked at once it is open, when no link can be changed any more. Never waits, as a pipe would have it do.
 */
async function openInside(directory: string, path: string): Promise<FileHandle | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const opened = process.platform === 'linux' ? `/proc/self/fd/${file.fd}` : path;
  const isInside = (await realpath(opened)).startsWith((await realpath(dirname(directory))) + sep);
  if (isInside && (await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

/** So many bytes from `fromByte` on; fewer when the file has shrunk. Closes the file. */
export async function* readLog(
  file: FileHandle,
  fromByte: number,
  bytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    for (let left = bytes; left > 0 && !signal.aborted; ) {
      const chunk = await readChunk(file, fromByte + bytes - left, Math.min(left, chunkBytes));
      if (chunk.length === 0) return;
      left -= chunk.length;
      yield chunk;
    }
  } finally {
    await file.close();
  }
}

/** The bytes from `fromByte` on as they are written, until the signal aborts. Closes the file. */
export async function* followLog(file: FileHandle, fromByte: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for (let position = fromByte; !signal.aborted; ) {
      const chunk = await readChunk(file, position, chunkBytes);
      position += chunk.length;
      if (chunk.length > 0) yield chunk;
      else await pause(signal);
    }
  } finally {
    await file.close();
  }
}

async function readChunk(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Waits for the log to appear. Null once the signal aborts. */
export async function awaitJobLog(
  sessionsDirs: () => readonly string[],
  submissionId: string,
  signal: AbortSignal,
): Promise<FileHandle | null> {
  while (!signal.aborted) {
    const file = await openJobLog(sessionsDirs(), submissionId);
    if (file) return file;
    await pause(signal);
  }
  return null;
}

/** Polling, because inotify sees nothing of a folder that is not there yet, and a look costs microseconds. */
function pause(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, pollIntervalMs);
    signal.addEventListener('abort', done);
  });
}
