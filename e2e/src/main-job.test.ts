/** The Ray Jobs API through the control plane, with unmodified clients. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { run, Stack, until } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
const scratch = mkdtempSync(join(tmpdir(), 'iocloud-job-'));
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
});
afterAll(async () => {
  await stack.stop();
  rmSync(scratch, { recursive: true, force: true });
});

describe('ray job, newest client', () => {
  test('submit with no cluster anywhere provisions one, runs the job and streams its log', async () => {
    const result = await stack.ray('job', 'submit', '--submission-id', 'first', '--', 'python', '-c', 'print(6 * 7)');
    expect(result.stderr + result.stdout).toContain("Job 'first' succeeded");
    expect(result.stdout + result.stderr).toMatch(/^42$/m);
    expect(result.code).toBe(0);
    const clusters = await stack.call('GET', '/v1/clusters');
    expect(clusters.body.items).toMatchObject([{ origin: 'job', phase: 'ready' }]);
  });

  test('a second job takes the warm cluster', async () => {
    await stack.ended(await stack.submit('echo again'));
    expect((await stack.call('GET', '/v1/clusters')).body.items).toHaveLength(1);
  });

  test('--working-dir, env_vars, py_modules, metadata and resources arrive', async () => {
    const dir = join(scratch, 'work');
    const module = join(scratch, 'mymodule');
    mkdirSync(dir);
    mkdirSync(module);
    writeFileSync(join(module, '__init__.py'), 'answer = 41\n');
    writeFileSync(
      join(dir, 'main.py'),
      'import os, ray, mymodule\nray.init()\n@ray.remote\ndef f():\n    return open("data.txt").read()\nprint("got", ray.get(f.remote()), mymodule.answer, os.environ["GREETING"])\n',
    );
    writeFileSync(join(dir, 'data.txt'), 'payload');
    const env = JSON.stringify({ env_vars: { GREETING: 'hi' }, py_modules: [module] });
    const result = await stack.ray(
      ...['job', 'submit', '--submission-id', 'packaged', '--working-dir', dir, '--runtime-env-json', env],
      ...['--metadata-json', '{"team":"a"}', '--entrypoint-num-cpus', '1', '--entrypoint-memory', '1000000'],
      ...['--', 'python', 'main.py'],
    );
    expect(result.stdout + result.stderr).toContain('got payload 41 hi');
    expect(result.code).toBe(0);
    const job = await stack.job('packaged');
    expect(job).toMatchObject({ status: 'SUCCEEDED', metadata: { team: 'a' }, driver_exit_code: 0 });
    expect(job.metadata).toEqual({ team: 'a' });
  });

  test('--no-wait, status, logs, list and delete work, and a deleted id can be used again', async () => {
    const submit = () => stack.ray('job', 'submit', '--no-wait', '--submission-id', 'again', '--', 'echo', 'spoken');
    expect((await submit()).code).toBe(0);
    await stack.ended('again');
    const status = await stack.ray('job', 'status', 'again');
    expect(status.stdout + status.stderr).toContain('succeeded');
    expect((await stack.ray('job', 'logs', 'again')).stdout).toContain('spoken');
    expect((await stack.ray('job', 'list')).stdout).toContain("submission_id='again'");
    expect((await stack.ray('job', 'delete', 'again')).code).toBe(0);
    expect((await stack.call('GET', '/api/jobs/again')).status).toBe(404);
    expect((await submit()).code).toBe(0);
    expect((await stack.ended('again')).status).toBe('SUCCEEDED');
  });

  test('stop ends a running job', async () => {
    await stack.submit('sleep 600', { submission_id: 'endless' });
    await until('it runs', 60_000, async () => (await stack.job('endless')).status === 'RUNNING');
    const result = await stack.ray('job', 'stop', 'endless');
    expect(result.code).toBe(0);
    expect((await stack.job('endless')).status).toBe('STOPPED');
  });

  test('a failing entrypoint fails the job with its exit code, once', async () => {
    const entrypoint = ['python', '-c', 'import sys; sys.exit(3)'];
    const result = await stack.ray('job', 'submit', '--submission-id', 'fails', '--', ...entrypoint);
    expect(result.code).not.toBe(0);
    expect(await stack.job('fails')).toMatchObject({ status: 'FAILED', driver_exit_code: 3 });
    expect((await stack.call('GET', '/v1/jobs/fails')).body.attempts).toHaveLength(1);
  });

  test('a duplicate submission id is refused in one clean line', async () => {
    const { status, body } = await stack.call('POST', '/api/jobs/', { entrypoint: 'true', submission_id: 'first' });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(body).toContain('first already exists');
    expect(body).not.toContain('Traceback');
    const result = await stack.ray('job', 'submit', '--submission-id', 'first', '--', 'true');
    expect(result.code).not.toBe(0);
    expect(result.stderr + result.stdout).toContain('already exists');
  });

  test("a runtime environment that cannot be built fails the job with Ray's own message", async () => {
    const runtimeEnv = { pip: ['no-such-package-by-this-name==99.99'] };
    const id = await stack.submit('true', { runtime_env: runtimeEnv });
    const job = await stack.ended(id);
    expect(job).toMatchObject({ status: 'FAILED', error_type: 'RUNTIME_ENV_SETUP_FAILURE' });
    expect(job.message).toContain('no-such-package-by-this-name');
  });

  test('JobSubmissionClient tails logs line by line', async () => {
    const script = join(scratch, 'sdk.py');
    writeFileSync(
      script,
      `import asyncio
from ray.job_submission import JobSubmissionClient
async def main():
    client = JobSubmissionClient()
    job = client.submit_job(entrypoint="for i in $(seq 1 50); do echo line $i; done")
    text = ""
    async for chunk in client.tail_job_logs(job):
        text += chunk
    assert [l for l in text.splitlines() if l.startswith("line ")] == [f"line {i}" for i in range(1, 51)], text
    assert client.get_job_status(job) == "SUCCEEDED"
    print("tailed", client.get_job_info(job).submission_id == job, client.get_version())
asyncio.run(main())
`,
    );
    const result = await stack.run('python', [script]);
    expect(result.stderr + result.stdout).toContain('tailed True 4');
  });

  test('the cluster is a Ray Jobs address of its own under its dashboard path', async () => {
    const [cluster] = (await stack.call('GET', '/v1/clusters')).body.items;
    const address = `${stack.address}${cluster.dashboardPath.replace(/\/$/, '')}`;
    const result = await stack.run('ray', ['job', 'submit', '--address', address, '--', 'echo', 'direct'], {
      env: { RAY_ADDRESS: address, RAY_API_SERVER_ADDRESS: address },
    });
    expect(result.stdout + result.stderr).toContain('direct');
    expect(result.code).toBe(0);
  });
});

describe('ray job, a client one year old', () => {
  const oldRay = process.env.IOCLOUD_TEST_OLD_RAY_VENV;
  test('submits with a working directory, follows, lists and stops', async () => {
    if (!oldRay) throw new Error('IOCLOUD_TEST_OLD_RAY_VENV is unset: run the tests by `make test`, which makes it');
    const dir = join(scratch, 'old');
    mkdirSync(dir);
    writeFileSync(join(dir, 'main.py'), 'print("from an old client")\n');
    const env = { ...stack.env, PATH: `${join(oldRay, 'bin')}:${stack.env.PATH}` };
    const result = await run(
      'ray',
      ['job', 'submit', '--submission-id', 'old', '--working-dir', dir, '--', 'python', 'main.py'],
      { env },
    );
    expect(result.stdout + result.stderr).toContain('from an old client');
    expect(result.code).toBe(0);
    expect((await run('ray', ['job', 'list'], { env })).stdout).toContain("submission_id='old'");
    expect((await run('ray', ['job', 'stop', 'old'], { env })).code).toBe(0);
  });
});

describe('a job outlives its cluster', () => {
  test('log and status stay readable, and the next job gets a new cluster', async () => {
    const id = await stack.submit('echo kept');
    await stack.ended(id);
    for (const cluster of (await stack.call('GET', '/v1/clusters')).body.items) {
      await stack.call('DELETE', `/v1/clusters/${cluster.id}`);
      await stack.clusterIn(cluster.id, 'deleted');
    }
    expect(await stack.log(id)).toContain('kept');
    expect((await stack.job(id)).status).toBe('SUCCEEDED');
    expect((await stack.ended(await stack.submit('echo anew'))).status).toBe('SUCCEEDED');
  });
});
