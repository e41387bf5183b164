import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { hold } from './holder.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'iocloud-holder-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));
const holder = () => JSON.parse(readFileSync(join(home, 'agent.pid'), 'utf8')).pid;

/** What /proc says of when a process began. */
const begun = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19];

test('one that has ended, or whose pid is another’s by now, holds nothing', async () => {
  for (const text of ['', '{"pid":', JSON.stringify({ pid: process.ppid, begun: '1' })]) {
    writeFileSync(join(home, 'agent.pid'), text);
    await hold(home, 0);
    expect(holder()).toBe(process.pid);
  }
  expect(readdirSync(home)).toEqual(['agent.pid']);
});

// Elsewhere than on Linux the beginning is read from ps.
(existsSync('/proc/self/stat') ? test : test.skip)('one that runs is waited for, and in vain named', async () => {
  const other = spawn('sleep', ['60'], { stdio: 'ignore' });
  const gone = once(other, 'exit');
  const pid = other.pid ?? 0;
  writeFileSync(join(home, 'agent.pid'), JSON.stringify({ pid, begun: begun(pid) }));
  await expect(hold(home, 0)).rejects.toThrow(`(pid ${pid}): end that one first`);
  expect(holder()).toBe(pid);
  const holding = hold(home, 30_000);
  other.kill();
  await gone;
  await holding;
  expect(holder()).toBe(process.pid);
});
