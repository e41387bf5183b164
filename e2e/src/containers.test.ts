/** A stranger's work on a machine that is offered to others: in a container, with the whole system, real Ray and OpenSSH. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Machine, processes, SshUser, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

const image = process.env.IOCLOUD_TEST_IMAGE ?? '';
const isRoot = process.getuid?.() === 0 && process.platform === 'linux';
if (!isRoot) process.stderr.write('not root on Linux: the promises about containers are NOT tested in this run\n');
if (isRoot && !image) throw new Error('IOCLOUD_TEST_IMAGE names no image: run the set-up (scripts/setup.mjs --tests)');
const where = isRoot ? describe : describe.skip;
const renterId = 1_879_049_192;

where('a machine that is offered to others', () => {
  let stack: Stack;
  let stranger: string;
  let box: Machine;
  let clusterId: string;
  beforeAll(async () => {
    stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', IOCLOUD_VERIFICATION: 'off' } });
    stranger = (await stack.call('POST', '/v1/tenants', { name: 'renter' })).body.apiKey.secret;
  });
  afterAll(() => stack?.stop());
  const asStranger = () => ({ authorization: `Bearer ${stranger}` });
  const call = (method: string, path: string, body?: unknown) => stack.call(method, path, body, asStranger());

  test('of plain processes takes no stranger’s job, and explains why, until its owner allows it by `iocloud node set`', async () => {
    const other = (await stack.call('POST', '/v1/tenants', { name: 'other' })).body.apiKey.secret;
    const asStranger = { authorization: `Bearer ${other}` };
    const plain = await stack.machine('plain', { shared: true, cpus: 1 });
    const iocloud = async (...args: string[]) => {
      const { code, stdout, stderr } = await stack.iocloud(...args);
      expect([code, stderr]).toEqual([0, '']);
      return stdout;
    };
    await iocloud('node', 'set', 'plain', '--plain-processes', 'no');
    expect(await iocloud('node', 'show', 'plain')).toContain('it runs no containers');
    const { body } = await stack.call('POST', '/api/jobs/', { entrypoint: 'echo in' }, asStranger);
    const why = (await stack.call('GET', `/v1/jobs/${body.submission_id}/explanation`, undefined, asStranger)).body;
    expect(JSON.stringify(why)).toContain("0 of 1 machines keep others' work in containers");
    await iocloud('node', 'set', 'plain', '--plain-processes', 'yes');
    await until('the job to end', 120_000, async () => {
      const { status } = (await stack.call('GET', `/api/jobs/${body.submission_id}`, undefined, asStranger)).body;
      return status === 'SUCCEEDED';
    });
    expect((await plain.show()).terms.plainProcesses).toBe(true);
    await iocloud('node', 'set', 'plain', '--plain-processes', 'no');
  });

  test('with containers says so, and takes a stranger’s job without its owner’s leave for plain processes', async () => {
    box = await stack.machine('box', { shared: true, cpus: 2, container: { image, diskBytes: 2 ** 29 } });
    expect(await box.show()).toMatchObject({
      shared: true,
      inventory: { isolation: 'container' },
      terms: { plainProcesses: false },
    });
    const entrypoint = 'python -c "import os, ray; ray.init(); print(os.getuid(), len(ray.nodes()), os.getcwd())"';
    const { body } = await call('POST', '/api/jobs/', { entrypoint });
    const ended = await until('the job to end', 120_000, async () => {
      const { status, message } = (await call('GET', `/api/jobs/${body.submission_id}`)).body;
      if (status === 'FAILED') throw new Error(message);
      return status === 'SUCCEEDED' ? status : null;
    });
    expect(ended).toBe('SUCCEEDED');
    const { logs } = (await call('GET', `/api/jobs/${body.submission_id}/logs`)).body;
    expect(logs).toContain(`${renterId} 1 `);
    ({ clusterId } = (await call('GET', `/v1/jobs/${body.submission_id}`)).body);
    const { leases, conditions } = (await call('GET', `/v1/clusters/${clusterId}`)).body;
    expect(leases[0].nodeId).toBe(box.id);
    expect(conditions).toContainEqual(expect.objectContaining({ type: 'NetworkIsolated', reason: 'Container' }));
  });

  test('lets the renter in by ssh, into the container, with terminal and sftp, and ends what a client leaves', async () => {
    const user = await SshUser.register(stack, asStranger());
    expect((await user.output(clusterId, 'id -u; cat /proc/1/cmdline | tr "\\0" " "')).trim()).toMatch(
      new RegExp(`^${renterId}\\n.*supervisor.py`),
    );
    expect(await user.output(clusterId, 'touch /usr/x 2>&1; ls /var/lib/iocloud 2>&1; true')).toContain('Read-only');
    const terminal = user.ssh(clusterId, [], ['-tt']);
    terminal.child.stdin?.write('tty; exit 7\n');
    const { code, stdout } = await terminal.ended;
    expect([code, stdout]).toEqual([7, expect.stringContaining('/dev/pts/')]);
    const copied = user.scp('/etc/hostname', `${clusterId}@127.0.0.1:/tmp/copied`);
    expect(await copied.ended).toMatchObject({ code: 0 });
    expect((await user.output(clusterId, 'stat -c %u /tmp/copied')).trim()).toBe(String(renterId));

    const sleeps = () => processes().some(({ command }) => command === 'sleep 703');
    const left = user.ssh(clusterId, ['echo up; sleep 703'], ['-tt']);
    await until('the program', 20_000, sleeps);
    left.child.kill('SIGKILL');
    await until('its end, as the client has gone', 20_000, () => !sleeps());
    await left.ended;
  });
});
