/** The real `ray job` command line and plain HTTP against the gateway, with a real Ray head behind it. */
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type RayHead, startRayHead } from './testing/ray-head.js';
import { Rig, type Servers, startServers } from './testing/rig.js';

jest.setTimeout(240_000);

describe('ray job, through the gateway', () => {
  let servers: Servers;
  let rig: Rig;
  let head: RayHead;
  let key: string;

  beforeAll(async () => {
    servers = await startServers();
    rig = new Rig(servers);
    await rig.start();
    head = await startRayHead({ cpus: 4 });
    const tenant = await rig.tenant();
    key = tenant.key;
    await rig.clusters.add(rig.database, tenant.id, 'warm', head);
  });
  afterAll(async () => {
    await rig?.stop();
    await head?.stop();
    await servers?.stop();
  });

  test('submit follows the log to its end and exits by the job’s fate', async () => {
    const good = await rig.ray(key, ['submit', '--submission-id', 'cli-good', '--', 'echo', 'hello from the driver']);
    expect(good.output).toContain("Job 'cli-good' submitted successfully");
    expect(good.output).toContain('hello from the driver');
    expect(good.output).toContain("Job 'cli-good' succeeded");
    expect(good.code).toBe(0);
    const bad = await rig.ray(key, ['submit', '--', 'sh', '-c', 'echo oh dear; exit 3']);
    expect(bad.output).toContain('oh dear');
    expect(bad.output).toContain('failed with exit code 3');
    expect(bad.code).toBe(1);
  });

  test('a working directory with a Python module travels with the job', async () => {
    const folder = join(servers.folder, 'work');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'greeting.py'), 'TEXT = "packed and delivered"\n');
    await writeFile(
      join(folder, 'main.py'),
      'import greeting, os, ray\nray.init()\nprint(greeting.TEXT, os.environ["COLOUR"])\n',
    );
    const args = ['submit', '--working-dir', folder, '--runtime-env-json', '{"env_vars": {"COLOUR": "blue"}}'];
    const result = await rig.ray(key, [...args, '--metadata-json', '{"team": "a"}', '--', 'python', 'main.py']);
    expect(result.output).toContain('packed and delivered blue');
    expect(result.code).toBe(0);
    const again = await rig.ray(key, [...args, '--', 'python', 'main.py']);
    expect(again.output).toContain('already exists, skipping upload');
    expect(again.code).toBe(0);
  });

  test('status, list, logs, stop and delete say what a head says', async () => {
    await rig.ray(key, [
      'submit',
      '--no-wait',
      '--submission-id',
      'cli-long',
      '--',
      'sh',
      '-c',
      'echo begun; sleep 300',
    ]);
    const early = await rig.ray(key, ['delete', 'cli-long']);
    expect(early.code).not.toBe(0);
    expect(early.output).toMatch(
      /Attempted to delete job 'cli-long', but it is in a non-terminal state (PENDING|RUNNING)/,
    );
    const stop = await rig.ray(key, ['stop', 'cli-long']);
    expect(stop.output).toContain("Job 'cli-long' was stopped");
    expect((await rig.ray(key, ['status', 'cli-long'])).output).toContain('was stopped');
    expect((await rig.ray(key, ['list'])).output).toContain('cli-long');
    const gone = await rig.ray(key, ['delete', 'cli-long']);
    expect(gone.output).toContain("Job 'cli-long' deleted successfully");
    expect((await rig.ray(key, ['status', 'cli-long'])).output).toContain('Job cli-long does not exist');
  });

  test('a submission id can be used again after its job was deleted, with a log of its own', async () => {
    for (const word of ['first', 'second']) {
      await rig.submit(key, { entrypoint: `echo the ${word} of its name`, submission_id: 'again' });
      expect((await rig.ended(key, 'again')).status).toBe('SUCCEEDED');
      const logs = await rig.logs(key, 'again');
      expect(logs).toContain(`the ${word} of its name\n`);
      if (word === 'second') expect(logs).not.toContain('first');
      expect(await (await rig.call(key, 'DELETE', '/api/jobs/again')).json()).toEqual({ deleted: true });
    }
    expect((await rig.call(key, 'GET', '/api/jobs/again')).status).toBe(404);
  });

  test('a job looks as it does on a head, under its own id or its Ray id', async () => {
    await rig.submit(key, {
      entrypoint: 'python -c "import ray; ray.init(); import time; time.sleep(1)"',
      submission_id: 'looks',
      metadata: { team: 'a' },
      runtime_env: { env_vars: { A: '1' } },
    });
    const ours = await rig.ended(key, 'looks');
    // Not by fetch: a head takes whoever sends Sec-Fetch headers for a browser, and hides environment variables from it.
    const [direct] = await once(
      get({ agent: head.agent, path: '/api/jobs/looks', headers: { Authorization: `Bearer ${head.token}` } }),
      'response',
    );
    const theirs = (await json(direct)) as Record<string, unknown>;
    expect(Object.keys(ours)).toEqual(Object.keys(theirs));
    const { start_time: _s, end_time: _e, metadata: _m, runtime_env: given, ...same } = theirs;
    expect(given).toMatchObject(ours.runtime_env ?? {});
    expect(given).toMatchObject({ env_vars: { IOCLOUD_ATTEMPT: '1', IOCLOUD_SUBMISSION_ID: 'looks' } });
    expect(ours.runtime_env).toEqual({ env_vars: { A: '1' } });
    expect(ours).toMatchObject({ ...same, metadata: { team: 'a' }, status: 'SUCCEEDED' });
    expect(ours.job_id).toMatch(/^[0-9a-f]{8}$/);
    expect((await rig.job(key, ours.job_id ?? '')).submission_id).toBe('looks');
  });

  test('a runtime environment that cannot be built fails the job with Ray’s own message', async () => {
    const runtime_env = { working_dir: 'gcs://_ray_pkg_0000000000000000.zip' };
    const id = await rig.submit(key, { entrypoint: 'true', runtime_env });
    const job = await rig.ended(key, id, 120_000);
    expect(job).toMatchObject({ status: 'FAILED', error_type: 'RUNTIME_ENV_SETUP_FAILURE' });
    expect(job.message).toMatch(/^runtime_env setup failed:/);
    expect(await rig.logs(key, id)).toContain('runtime_env setup failed:');
  });
});
