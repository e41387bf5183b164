import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KernelLog } from './kernel-log.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-kmsg-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('counts the faults of each device, also those of a line that is not whole yet', async () => {
  const file = join(directory, 'kmsg');
  await writeFile(
    file,
    [
      '6,1,100,-;usb 1-1: new device',
      "4,2,200,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
      '4,3,300,-;NVRM: Xid (PCI:0000:af:00): 63, pid=1, Row Remapper',
      '4,4,400,-;NVRM: Xid (PCI:0000:3b:0',
    ].join('\n'),
  );
  const log = await KernelLog.open(file);
  if (!log) throw new Error('it is there');
  await log.read();
  expect(log.xidsOf('0:3b:00')).toEqual({ 79: 1 });
  await appendFile(file, "0): 79, pid='<unknown>'\n4,5,500,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=7, MMU Fault\n");
  await log.read();
  expect(log.xidsOf('0:3b:00')).toEqual({ 79: 2, 31: 1 });
  expect(log.xidsOf('0:af:00')).toEqual({ 63: 1 });
  expect(log.xidsOf('0:01:00')).toEqual({});
  await log.close();
});

test('a kernel whose log is not there or not for us has none', async () => {
  expect(await KernelLog.open(join(directory, 'nothing'))).toBeNull();
});
