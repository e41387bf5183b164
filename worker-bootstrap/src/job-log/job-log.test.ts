import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { awaitJobLog, followLog, isSafeSubmissionId, openJobLog, readLog } from './job-log.js';

let sessions: string;
let logs: string;
const abort = () => new AbortController();
beforeEach(() => {
  sessions = mkdtempSync(join(tmpdir(), 'iocloud-log-'));
  logs = join(sessions, 'session_2026-01-01', 'logs');
  mkdirSync(logs, { recursive: true });
});
afterEach(() => rmSync(sessions, { recursive: true }));

async function textOf(id: string, fromByte = 0, bytes = 2 ** 30): Promise<string | null> {
  const file = await openJobLog([sessions], id);
  if (!file) return null;
  let text = '';
  for await (const chunk of readLog(file, fromByte, bytes, abort().signal)) text += chunk;
  return text;
}

describe('a job log', () => {
  test('is read from the byte that is asked for, and beyond its end is empty', async () => {
    writeFileSync(join(logs, 'job-driver-j.log'), 'one\ntwo\n');
    expect(await textOf('j')).toBe('one\ntwo\n');
    expect(await textOf('j', 4)).toBe('two\n');
    expect(await textOf('j', 4, 2)).toBe('tw');
    expect(await textOf('j', 99)).toBe('');
  });

  test('longer than any buffer comes whole', async () => {
    const text = 'x'.repeat(1_000_003);
    writeFileSync(join(logs, 'job-driver-j.log'), text);
    expect(await textOf('j', 1)).toBe(text.slice(1));
  });

  test('that is not there is null', async () => {
    expect(await textOf('j')).toBeNull();
    expect(await openJobLog([join(sessions, 'nowhere')], 'j')).toBeNull();
  });

  test('that is a link out of the folder is not followed', async () => {
    writeFileSync(join(sessions, 'secret'), 'secret');
    symlinkSync(join(sessions, 'secret'), join(logs, 'job-driver-link.log'));
    symlinkSync('/etc', join(sessions, 'session_evil'));
    symlinkSync('/etc/hostname', join(logs, 'job-driver-host.log'));
    const elsewhere = mkdtempSync('/var/tmp/iocloud-log-');
    mkdirSync(join(elsewhere, 'logs'));
    writeFileSync(join(elsewhere, 'logs', 'job-driver-other.log'), 'of another lease');
    symlinkSync(elsewhere, join(sessions, 'session_linked'));
    expect(await textOf('other')).toBeNull();
    rmSync(elsewhere, { recursive: true });
    expect(await textOf('host')).toBeNull();
    expect(await textOf('link')).toBeNull();
  });

  test('is followed as it is written, from before it exists', async () => {
    const stop = abort();
    const path = join(logs, 'job-driver-j.log');
    const opened = awaitJobLog(() => [sessions], 'j', stop.signal);
    writeFileSync(path, 'one\n');
    const file = await opened;
    if (!file) throw new Error('not found');
    let text = '';
    for await (const chunk of followLog(file, 0, stop.signal)) {
      text += chunk;
      if (text === 'one\n') appendFileSync(path, 'two\n');
      if (text === 'one\ntwo\n') stop.abort();
    }
    expect(text).toBe('one\ntwo\n');
  });

  test.each(['', '..', '../x', 'a/b', 'a\\b', 'a\0b', 'x..y', 'x'.repeat(201)])('refuses the id %p', id => {
    expect(isSafeSubmissionId(id)).toBe(false);
  });

  test.each(['raysubmit_Abc123', 'my job', 'jöb.1'])('accepts the id %p', id => {
    expect(isSafeSubmissionId(id)).toBe(true);
  });
});
