/** The Ray dashboard through the control plane, in a real browser. */
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { findChromium, Stack } from './harness/index.js';

jest.setTimeout(180_000);

let stack: Stack;
let browser: Browser;
let context: BrowserContext;
// biome-ignore lint/suspicious/noExplicitAny: the API's own shape
let cluster: any;
beforeAll(async () => {
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
  cluster = await stack.cluster('seen');
  await stack.ended(
    await stack.submit('echo hello from the job', { submission_id: 'shown', metadata: { 'io.cluster': 'seen' } }),
  );
  browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context = await browser.newContext();
});
afterAll(async () => {
  await browser?.close();
  await stack.stop();
});

const link = async (): Promise<string> => {
  const { status, body } = await stack.call('POST', `/v1/clusters/${cluster.id}/dashboard-link`);
  expect(status).toBe(201);
  return body.url;
};

describe('a browser', () => {
  test('without a login sees not a byte of the dashboard', async () => {
    const page = await context.newPage();
    const response = await page.goto(`${stack.address}${cluster.dashboardPath}`);
    expect(response?.status()).toBe(401);
    expect(await page.content()).not.toContain('Ray Dashboard');
    await page.close();
  });

  test('with a link sees the jobs page, and no token stays in the address', async () => {
    const page = await context.newPage();
    const refused: string[] = [];
    page.on('response', response => {
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(await link());
    await page.waitForURL(url => url.pathname === cluster.dashboardPath);
    expect(page.url()).not.toMatch(/link=|token/);
    await page.goto(`${stack.address}${cluster.dashboardPath}#/jobs`);
    await page.getByText('shown', { exact: true }).first().waitFor({ timeout: 60_000 });
    await page.goto(`${stack.address}${cluster.dashboardPath}#/cluster`);
    await page.getByText('ALIVE').first().waitFor({ timeout: 60_000 });
    expect(refused.filter(one => /^(401|403|405)/.test(one))).toEqual([]);
    await page.close();
  });

  test("reads a job's log there", async () => {
    const page = await context.newPage();
    await page.goto(`${stack.address}${cluster.dashboardPath}#/jobs/shown`);
    await page.getByText('hello from the job').first().waitFor({ timeout: 60_000 });
    await page.close();
  });

  test('cannot use the session anywhere but under /clusters/', async () => {
    const page = await context.newPage();
    expect((await page.goto(`${stack.address}${cluster.dashboardPath}`))?.status()).toBe(200);
    for (const path of ['/v1/whoami', '/api/jobs/', '/v1/clusters']) {
      expect((await page.goto(`${stack.address}${path}`))?.status()).toBe(401);
    }
    await page.close();
  });
});

describe('the status page', () => {
  test('asks for a key, then shows what is wrong and draws the figures', async () => {
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
    expect((await page.goto(`${stack.address}/clusters/status`))?.status()).toBe(401);
    await page.getByLabel('API key').fill(stack.apiKey);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.goto(`${stack.address}/clusters/status`);
    await page.getByRole('heading', { name: 'Status' }).waitFor();
    expect(await page.getByRole('status').textContent()).toContain('Nothing is wrong');
    const memory = page.locator('#figure-memory');
    expect(await memory.textContent()).toMatch(/\d+ MiB/);
    expect(await memory.locator('polyline').count()).toBeGreaterThan(0);
    const [wide, shown] = await page.evaluate<[number, number]>('[document.documentElement.scrollWidth, innerWidth]');
    expect(wide).toBeLessThanOrEqual(shown);
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/status.png` });
    await page.context().close();
  });
});

describe('a link', () => {
  test('works once', async () => {
    const url = await link();
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(303);
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(401);
  });

  test('that was altered opens nothing', async () => {
    const url = await link();
    const altered = url.replace(/.$/, character => (character === 'A' ? 'B' : 'A'));
    const response = await fetch(altered, { redirect: 'manual' });
    expect(response.status).toBe(401);
    expect(response.headers.get('set-cookie')).toBeNull();
  });
});

test('a session ends with its key', async () => {
  const key = (await stack.call('POST', '/v1/api-keys', { name: 'short', scopes: ['clusters:read'] })).body;
  const { body } = await stack.call('POST', `/v1/clusters/${cluster.id}/dashboard-link`, undefined, {
    authorization: `Bearer ${key.secret}`,
  });
  const entry = await fetch(body.url, { redirect: 'manual' });
  const cookie = (entry.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const open = () =>
    fetch(`${stack.address}${cluster.dashboardPath}`, { headers: { cookie } }).then(response => response.status);
  expect(await open()).toBe(200);
  await stack.call('DELETE', `/v1/api-keys/${key.id}`);
  expect(await open()).toBe(401);
});
