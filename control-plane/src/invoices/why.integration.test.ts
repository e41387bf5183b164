/** Why a line is what it is, in which form an invoice comes, and who may see it. */
import { randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { newId, scheduling } from '@iocloud/contracts';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newTenantKey, type TestKey } from '../test-ground.js';
import { InvoiceScene } from './testing/scene.js';
import { withoutRenter } from './why.js';

let scene: InvoiceScene;
let stranger: TestKey;
let invoice: string;
let statement: string;
let settled: number;

/** A job with one attempt on the cluster of the scene. */
async function ran(submissionId: string, gpus: number, from: string, until: string | null): Promise<void> {
  const { database } = scene.ground;
  const id = newId('job', randomBytes);
  await database.query(
    `INSERT INTO jobs (id, tenant_id, submission_id, submission, needs, scheduling, phase, message, max_attempts, ray_view,
       submitted_at, queue_at) VALUES ($1, $2, $3, '{}', '{}', $4, 'running', '', 3, '{}', $5, $5)`,
    [id, scene.renter.tenantId, submissionId, JSON.stringify(scheduling.parse({})), from],
  );
  await database.query(
    `INSERT INTO job_attempts (id, job_id, number, cluster_id, head_lease_id, ray_submission_id, phase, outcome, reserved,
       started_at, ended_at, log_complete) VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, $10, true)`,
    [
      newId('attempt', randomBytes),
      id,
      scene.cluster,
      scene.lease,
      `${submissionId}-1`,
      until === null ? 'running' : 'ended',
      until === null ? null : 'succeeded',
      JSON.stringify({ gpus }),
      from,
      until,
    ],
  );
}

beforeAll(async () => {
  scene = await InvoiceScene.start();
  await scene.clock('2031-01-01T00:00:00Z');
  await scene.nextOrder();
  stranger = await newTenantKey(scene.ground.database);
  const series = `iocloud_lease_billable_seconds_total{lease="${scene.lease}",cluster="${scene.cluster}",job="j"}`;
  settled = await scene.use({ from: '2031-01-30T10:00:00Z', evidence: { source: 'prometheus', series } });
  await scene.use({ from: '2031-01-30T11:00:00Z' });
  await scene.correct({ from: '2031-01-30T11:00:00Z', at: '2031-01-30T14:00:00Z', costMicroUsd: -1_000n }, 1_022n);
  await ran('train-1', 1.5, '2031-01-30T10:30:00Z', '2031-01-30T11:15:00Z');
  await ran('train-2', 2, '2031-01-30T11:59:59Z', null);
  await ran('elsewhen', 2, '2031-01-30T07:00:00Z', '2031-01-30T10:00:00Z');
  await scene.close('2031-02-03T00:00:00Z');
  invoice = (await scene.get(scene.renter, '/invoices')).body.items[0].id;
  statement = (await scene.get(scene.supplier, '/invoices?kind=statement')).body.items[0].id;
}, 60_000);
afterAll(() => scene?.stop());

test('a line leads to its windows, their evidence, the jobs that ran then with what they held, the price and the postings', async () => {
  const { body } = await scene.get(scene.renter, `/invoices/${invoice}/lines/1/why`);
  expect(body.line).toMatchObject({ n: 1, kind: 'usage', day: '2031-01-30', usageLines: 2 });
  expect(body.usage).toMatchObject([
    {
      from: '2031-01-30T10:00:00.000Z',
      until: '2031-01-30T11:00:00.000Z',
      clusterId: scene.cluster,
      gpuSecondsHeld: '7200.000',
      secondsBilled: '3600.000',
      costUsd: '1.234567',
      usdPerIo: '37/20',
      transactionId: settled,
      evidence: { source: 'prometheus' },
      jobs: [{ submissionId: 'train-1', raySubmissionId: 'train-1-1', gpus: 1.5, gpuSecondsHeld: '2700.000' }],
    },
    {
      from: '2031-01-30T11:00:00.000Z',
      jobs: [
        { submissionId: 'train-1', gpuSecondsHeld: '1350.000' },
        { submissionId: 'train-2', gpuSecondsHeld: '2.000' },
      ],
    },
  ]);
  expect(body.prices).toMatchObject([{ leaseId: scene.lease, pricePerHourUsd: '2.000000' }]);
  const posting = { kind: 'escrow', asset: 'USDC', amount: '-1.262344' };
  expect(body.transactions[0].entries).toContainEqual(expect.objectContaining(posting));
  expect(body.next).toBeNull();
});

test('the usage of a line comes in pages, none of it twice', async () => {
  const { body: first } = await scene.get(scene.renter, `/invoices/${invoice}/lines/1/why?limit=1`);
  const { body: second } = await scene.get(
    scene.renter,
    `/invoices/${invoice}/lines/1/why?limit=1&after=${first.next}`,
  );
  expect([first.usage.length, second.usage.length]).toEqual([1, 1]);
  expect(second.usage[0].from).toBe('2031-01-30T11:00:00.000Z');
});

test('a line of corrections leads to the revision that made it', async () => {
  const { body } = await scene.get(scene.renter, `/invoices/${invoice}/lines/2/why`);
  expect(body.line).toMatchObject({ kind: 'correction', total: '-0.001022' });
  expect(body.usage).toMatchObject([{ revision: 1, costUsd: '-0.001000' }]);
});

test('a settlement of the ledger is explained to its renter in full, to its supplier without renter and jobs, to nobody else', async () => {
  const path = `/ledger/transactions/${settled}/why`;
  const { body: own } = await scene.get(scene.renter, path);
  expect(own.usage[0]).toMatchObject({ clusterId: scene.cluster, jobs: [{ submissionId: 'train-1' }] });
  const { body: share, text } = await scene.get(scene.supplier, path);
  expect(share.usage[0]).toMatchObject({ nodeId: scene.node, clusterId: null, jobs: [], gpuSecondsHeld: '7200.000' });
  expect(share.usage[0].evidence.series).toContain(`lease="${scene.lease}",cluster="…",job="…"`);
  for (const secret of [scene.renter.tenantId, scene.cluster, 'train-1']) expect(text).not.toContain(secret);
  const earned = { kind: 'earnings', amount: '0.66566486' };
  expect(share.transactions[0].entries).toContainEqual(expect.objectContaining(earned));
  expect((await scene.get(stranger, path)).status).toBe(404);
  expect((await scene.get(scene.operator, path)).body.usage[0].clusterId).toBe(scene.cluster);
});

test('a statement tells of the machine and not of who rented it', async () => {
  const { body, text } = await scene.get(scene.supplier, `/invoices/${statement}/lines/1/why`);
  expect(body.usage).toMatchObject([{ nodeId: scene.node, clusterId: null, jobs: [] }, { clusterId: null }]);
  const lines = await scene.get(scene.supplier, `/invoices/${statement}/csv`);
  for (const secret of [scene.renter.tenantId, scene.cluster, 'train-1', ',train,']) {
    expect(text).not.toContain(secret);
    expect(lines.text).not.toContain(secret);
  }
});

test('evidence is cleared of what names the renter, wherever it stands', () => {
  const cleared = withoutRenter({
    series: [`a{cluster="train",lease="ls_1"}`, 'tn_00000000000000renter', 'tn_short'],
    jobs: ['mine'],
    deep: { clusterName: 'train', value: 7 },
  });
  expect(cleared).toEqual({
    series: ['a{cluster="…",lease="ls_1"}', '…', 'tn_short'],
    deep: { value: 7 },
  });
});

test('others can neither read an invoice in any form nor learn that it is there', async () => {
  for (const path of ['', '/lines', '/csv', '/pdf', '/lines/1/why']) {
    for (const key of [stranger, scene.supplier]) {
      expect((await scene.get(key, `/invoices/${invoice}${path}`)).status).toBe(404);
    }
    expect((await scene.get(scene.operator, `/invoices/${invoice}${path}`)).status).toBe(200);
  }
  expect((await scene.get(stranger, '/invoices?all=true')).status).toBe(403);
  expect((await scene.get(stranger, `/invoices?tenantId=${scene.renter.tenantId}`)).status).toBe(403);
  expect((await scene.get(stranger, `/invoices/invoice-2031-01?tenantId=${scene.renter.tenantId}`)).status).toBe(403);
  expect((await scene.get(stranger, '/invoices/check')).status).toBe(403);
  expect((await scene.get(stranger, '/invoices')).body.items).toEqual([]);
});

test('CSV has a record for each line, which sum to the total', async () => {
  const { text } = await scene.get(scene.renter, `/invoices/${invoice}/csv`);
  const [titles, ...records] = text
    .trimEnd()
    .split('\r\n')
    .map(line => line.split(','));
  const column = (name: string) => records.map(record => record[titles?.indexOf(name) ?? -1]);
  expect(column('kind')).toEqual(['usage', 'correction']);
  expect(column('total')).toEqual(['2.524688', '-0.001022']);
  const { body } = await scene.get(scene.renter, `/invoices/${invoice}`);
  expect(body.totals).toEqual([{ asset: 'USDC', net: '2.468112', fees: '0.055554', total: '2.523666' }]);
  expect(body.subtotals).toMatchObject([{ subject: scene.cluster, name: 'train', total: '2.523666' }]);
});

test('PDF is the same bytes each time and shows number, issuer and total', async () => {
  const read = async () => {
    const headers = { Authorization: `Bearer ${scene.renter.apiKey}` };
    const response = await fetch(`${scene.base}/v1/invoices/${invoice}/pdf`, { headers });
    return Buffer.from(await response.arrayBuffer());
  };
  const [first, second] = [await read(), await read()];
  expect(first.subarray(0, 5).toString()).toBe('%PDF-');
  expect(first.equals(second)).toBe(true);
  const { body } = await scene.get(scene.renter, `/invoices/${invoice}`);
  const shown = pdfText(first);
  for (const words of [body.number, 'Example Ltd', '2.523666', 'Thank you.']) expect(shown).toContain(words);
});

/** The texts that its pages show: hexadecimal strings in deflated streams. */
function pdfText(pdf: Buffer): string {
  const texts: string[] = [];
  for (let at = pdf.indexOf('stream\n'); at >= 0; at = pdf.indexOf('stream\n', at + 7)) {
    if (pdf.subarray(at - 3, at).toString() === 'end') continue;
    const content = inflateSync(pdf.subarray(at + 7, pdf.indexOf('\nendstream', at))).toString('latin1');
    for (const [, parts = ''] of content.matchAll(/\[(.*?)\] TJ/g)) {
      const hex = [...parts.matchAll(/<([0-9a-f]*)>/g)].map(([, digits]) => digits).join('');
      texts.push(Buffer.from(hex, 'hex').toString('latin1'));
    }
  }
  return texts.join('\n');
}

test('a month that is over without a charge, or has not begun, has no invoice', async () => {
  for (const month of ['2030-12', '2033-01']) {
    const { status, body } = await scene.get(scene.renter, `/invoices/invoice-${month}`);
    expect([status, body.title]).toEqual([404, 'not found']);
  }
  expect((await scene.get(scene.renter, '/invoices/invoice-2031-13')).status).toBe(400);
});
