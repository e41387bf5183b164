/** What nobody should send, and the one clear answer that it gets. */
import { readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Stack } from './harness/index.js';

jest.setTimeout(240_000);

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack?.stop());

const GiB = 2 ** 30;
const packagePath = '/api/packages/gcs/_ray_pkg_0123456789abcdef.zip';

interface Answer {
  status: number;
  text: string;
  bytesSent: number;
}

/** Uploads until all is sent or an answer comes. `bytes` undefined: nothing but the headers. */
function upload(path: string, body: Readable | null, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let bytesSent = 0;
    const call = request(`${stack.address}${path}`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${stack.apiKey}`, ...headers },
    });
    call.on('response', response => {
      body?.destroy();
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text, bytesSent });
        call.destroy();
      });
      call.end();
    });
    call.on('error', reject);
    if (!body) return call.flushHeaders();
    body.on('data', (chunk: Buffer) => {
      bytesSent += chunk.length;
      if (!call.write(chunk)) {
        body.pause();
        call.once('drain', () => body.resume());
      }
    });
    body.on('end', () => call.end());
  });
}

function* zeros(bytes: number) {
  const chunk = Buffer.alloc(2 ** 20);
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk;
}

/** Bytes in all files below. */
function diskUsage(directory: string): number {
  return (readdirSync(directory, { recursive: true }) as string[])
    .map(name => statSync(join(directory, name), { throwIfNoEntry: false }))
    .reduce((total, stat) => total + (stat?.isFile() ? stat.size : 0), 0);
}

/** A zip archive, stored without compression, of one empty member with this name. */
function zipOf(name: string): Buffer {
  const bytes = Buffer.from(name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(20, 4);
  local.writeUInt16LE(bytes.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE(20, 6);
  central.writeUInt16LE(bytes.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + bytes.length, 12);
  end.writeUInt32LE(local.length + bytes.length, 16);
  return Buffer.concat([local, bytes, central, bytes, end]);
}

describe('a package', () => {
  test('of 2 GiB is refused by its headers, before a byte of it is sent', async () => {
    const answer = await upload(packagePath, null, { 'content-length': String(2 * GiB) });
    expect(answer.status).toBe(413);
    expect(answer.text).toContain('IOCLOUD_MAX_PACKAGE_BYTES');
  });

  test('of 2 GiB that does not say so is cut off at the limit and leaves nothing on the disk', async () => {
    const body = Readable.from(zeros(2 * GiB), { objectMode: false });
    const answer = await upload(packagePath, body, { 'transfer-encoding': 'chunked' });
    expect(answer.status).toBe(413);
    expect(answer.bytesSent).toBeLessThan(2 * GiB);
    expect(diskUsage(join(stack.home, 'data'))).toBe(0);
    expect((await stack.call('GET', packagePath)).status).toBe(404);
  });

  test.each(['../../../etc/cron.d/owned', '/etc/cron.d/owned', 'a/../../owned', 'C:\\owned'])(
    'with a member named %s is refused and not kept',
    async name => {
      const answer = await upload(packagePath, Readable.from([zipOf(name)]), {});
      expect(answer.status).toBe(400);
      expect(answer.text.length).toBeLessThan(300);
      expect((await stack.call('GET', packagePath)).status).toBe(404);
    },
  );

  test('that is no archive is refused', async () => {
    const answer = await upload(packagePath, Readable.from([Buffer.from('not a zip')]), {});
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('no zip archive')]);
  });

  test.each(['..%2f..%2fowned.zip', '%00.zip', '.zip%0a', `${'x'.repeat(300)}.zip`])(
    'under the name %s is refused',
    async name => {
      const answer = await upload(`/api/packages/gcs/${name}`, Readable.from([zipOf('fine')]), {});
      expect(answer.status).toBe(400);
    },
  );
});

describe('a submission', () => {
  const submit = async (body: string) => {
    const response = await fetch(`${stack.address}/api/jobs/`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' },
      body,
    });
    return { status: response.status, text: await response.text() };
  };

  test.each([
    ['malformed JSON', '{"entrypoint": ', /JSON/i],
    ['no JSON object', '[]', /object/],
    ['nothing', '', /JSON/i],
    ['no entrypoint', '{}', /entrypoint/],
    ['an entrypoint of the wrong type', '{"entrypoint": 7}', /entrypoint/],
    ['a field that no head knows', '{"entrypoint": "true", "colour": "blue"}', /colour/],
    ['metadata that is not text', '{"entrypoint": "true", "metadata": {"a": 1}}', /metadata/],
    ['a negative number of CPUs', '{"entrypoint": "true", "entrypoint_num_cpus": -1}', /entrypoint_num_cpus/],
    ['an id with a slash', '{"entrypoint": "true", "submission_id": "../x"}', /submission_id/],
    ['an io.* key that does not exist', '{"entrypoint": "true", "metadata": {"io.clutser": "x"}}', /io\.clutser/],
  ])('with %s is a 4xx that names the fault', async (_what, body, message) => {
    const { status, text } = await submit(body);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(text).toMatch(message);
    expect(text).not.toMatch(/at .*\.[jt]s:\d+/);
  });

  test('leaves nothing behind when it is refused', async () => {
    expect((await stack.call('GET', '/api/jobs/')).body).toEqual([]);
  });
});

test('a job whose package is not there fails and names it, as on a head', async () => {
  const runtimeEnv = { working_dir: 'gcs://_ray_pkg_ffffffffffffffff.zip' };
  const job = await stack.ended(await stack.submit('true', { runtime_env: runtimeEnv }));
  expect(job).toMatchObject({ status: 'FAILED', error_type: 'RUNTIME_ENV_SETUP_FAILURE' });
  expect(job.message).toContain('_ray_pkg_ffffffffffffffff');
});

describe('outside the Ray routes', () => {
  test.each([
    ['POST', '/v1/clusters', { name: 'Not A Name', head: { cpus: 1 } }, 400, 'body.name'],
    ['POST', '/v1/clusters', { name: 'x', head: { cpus: -1 } }, 400, 'body.head.cpus'],
    ['POST', '/v1/clusters', { name: 'x', head: { cpus: 1 }, rayVersion: '1.0.0' }, 422, 'offers Ray 1.0.0'],
    ['GET', '/v1/clusters/cl_00000000000000000000', undefined, 404, 'no cluster'],
    ['GET', '/v1/clusters/nonsense', undefined, 400, 'path.clusterId'],
    ['GET', '/v1/jobs?limit=0', undefined, 400, 'query.limit'],
    ['GET', '/v1/no-such-thing', undefined, 404, '/docs/'],
  ])('%s %s is a problem document', async (method, path, body, status, detail) => {
    const answer = await stack.call(method, path, body);
    expect([answer.status, answer.body]).toEqual([
      status,
      expect.objectContaining({ status, title: expect.any(String), detail: expect.stringContaining(detail) }),
    ]);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });
});

test('a wrong token gets 401 and nothing else', async () => {
  const wrong = { authorization: `Bearer ${stack.apiKey.slice(0, -4)}AAAA` };
  const { status, body } = await stack.call('GET', '/api/jobs/', undefined, wrong);
  expect([status, body]).toEqual([401, 'Unauthorized: Invalid authentication token']);
});

test('an unknown submission id is a plain 404', async () => {
  const { status, body } = await stack.call('GET', '/api/jobs/nope');
  expect([status, body]).toEqual([404, 'Job nope does not exist']);
});
