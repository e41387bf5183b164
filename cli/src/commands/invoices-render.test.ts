import type { ClusterId, InvoiceLine, InvoiceWithSubtotals, LeaseId, NodeId, TenantId, Why } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { invoiceCheckInWords, invoiceInWords, invoiceTable, lineWhyInWords, whyInWords } from './invoices-render.js';
import { deliveryTable, webhookTable } from './webhooks.js';

const total = { asset: 'USDC', net: '1.234567', fees: '0.027777', total: '1.262344' } as const;
const invoice: InvoiceWithSubtotals = {
  id: 'in_00000000000000000001',
  reference: 'in_00000000000000000001',
  kind: 'invoice',
  number: '00000001-0001',
  tenantId: 'tn_00000000000000000001' as TenantId,
  tenantName: 'vision',
  month: '2027-01',
  from: '2027-01-01T00:00:00.000Z',
  until: '2027-02-01T00:00:00.000Z',
  closedAt: '2027-02-03T00:00:00.000Z',
  issuer: { name: 'Example Ltd', address: [], taxId: '', contact: '', note: '' },
  lines: 1,
  costUsd: '1.234567',
  totals: [total],
  subtotals: [
    {
      ...total,
      subject: 'cl_1',
      name: 'train',
      gpuSecondsHeld: '7200.000',
      gpuSecondsBilled: '7200.000',
      costUsd: '1.234567',
    },
  ],
};
const line: InvoiceLine = {
  ...total,
  n: 1,
  kind: 'usage',
  day: '2027-01-30',
  clusterId: 'cl_00000000000000000001' as ClusterId,
  clusterName: 'train',
  leaseId: 'ls_00000000000000000001' as LeaseId,
  nodeId: 'nd_00000000000000000001' as NodeId,
  model: 'NVIDIA H100 PCIe',
  usageLines: 1,
  gpuSecondsHeld: '7200.000',
  gpuSecondsBilled: '7200.000',
  pricePerHourUsd: '2.000000',
  costUsd: '1.234567',
  note: '',
};
const why: Omit<Why, 'next'> = {
  usage: [
    {
      usageLineId: 3,
      leaseId: line.leaseId as LeaseId,
      nodeId: line.nodeId as NodeId,
      clusterId: line.clusterId,
      from: '2027-01-30T10:00:00.000Z',
      until: '2027-01-30T11:00:00.000Z',
      revision: 1,
      secondsHeld: '3600.000',
      secondsBilled: '3600.000',
      gpuSecondsHeld: '7200.000',
      gpuSecondsBilled: '7200.000',
      evidence: { source: 'prometheus', series: 'a{lease="ls_1"}' },
      costUsd: '1.234567',
      pricePerHourUsd: '2.000000',
      usdPerIo: '37/20',
      reason: '',
      transactionId: 17,
      jobs: [{ submissionId: 'train', raySubmissionId: 'train-2', attempt: 2, gpus: 2, gpuSecondsHeld: '1800.000' }],
    },
  ],
  prices: [{ leaseId: line.leaseId as LeaseId, pricePerHourUsd: '2.000000', basis: {}, versions: [] }],
  transactions: [],
};

test('an invoice is told by its number, totals, clusters and lines; one that is open says so', () => {
  const words = invoiceInWords(invoice, [line]);
  expect(words).toMatch(/^invoice +00000001-0001\n/);
  expect(words).toMatch(/\ntotal +1\.262344 USDC, of that fees 0\.027777\n/);
  expect(words).toMatch(
    /\n1 +2027-01-30 +usage +train +ls_0+1 +NVIDIA H100 PCIe +7200\.000 +2\.000000 +1\.262344 USDC +-$/,
  );
  expect(invoiceInWords({ ...invoice, number: null, closedAt: null }, [])).toMatch(
    /as it stands now.*nothing has been charged/s,
  );
});

test('a list names number and id, an empty one where to look instead', () => {
  expect(invoiceTable([invoice]).split('\n')[1]).toBe(
    '00000001-0001  2027-01  invoice  1      1.262344 USDC  in_00000000000000000001',
  );
  expect(invoiceTable([])).toContain('iocloud invoice show');
});

test('why tells of the window, its revision, jobs, evidence and transaction', () => {
  const words = lineWhyInWords({ line, ...why, next: null });
  for (const part of [
    'line          1, usage of 2027-01-30',
    'correction 1',
    'train (on Ray train-2): 1800.000 GPU-s held',
    'a{lease=',
    'transaction 17',
    '2.000000 USD/h of ls_',
  ]) {
    expect(words).toContain(part);
  }
  expect(whyInWords({ usage: [], prices: [], transactions: [] })).toBe('it is for no usage');
});

test('a check that finds something names it', () => {
  expect(invoiceCheckInWords({ clean: true, invoices: 2, entries: 9, differences: [] })).toContain(
    'each is what was posted',
  );
  const differences = [{ what: 'missing' as const, subject: '17', message: 'is on no invoice' }];
  expect(invoiceCheckInWords({ clean: false, invoices: 2, entries: 9, differences })).toMatch(
    /missing +17 +is on no invoice/,
  );
});

test('webhooks say whether they are on, and messages what came of them', () => {
  const webhook = {
    id: 'wh_00000000000000000001',
    url: 'https://example.com/',
    events: ['job.*'],
    description: '',
    createdAt: '2027-01-01T00:00:00.000Z',
    disabledAt: null,
    disabledReason: null,
    failingSince: null,
    previousSecretUntil: null,
  } as unknown as Parameters<typeof webhookTable>[0][number];
  expect(webhookTable([webhook]).split('\n')[1]).toMatch(/ job\.\* +on +-$/);
  expect(webhookTable([{ ...webhook, disabledReason: 'gone' }])).toContain('disabled: gone');
  expect(webhookTable([])).toContain('iocloud webhook add');
  const delivery = {
    id: 'msg_00000000000000000001',
    type: 'job.JobFailed',
    createdAt: '2027-01-01T00:00:00.000Z',
    state: 'delivered',
    attempts: 1,
    nextAttemptAt: null,
    lastAttemptAt: null,
    lastStatus: 204,
    lastError: null,
    lastDurationMs: 12,
  } as unknown as Parameters<typeof deliveryTable>[0][number];
  expect(deliveryTable([delivery])).toContain('answered 204 in 12 ms');
  expect(deliveryTable([{ ...delivery, lastError: 'answered 500' }])).toContain('answered 500');
});
