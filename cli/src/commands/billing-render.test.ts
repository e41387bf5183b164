import type { Billing, ClusterId, TenantId } from '@iocloud/contracts';
import { expect, test } from '@jest/globals';
import { changeOf } from './billing.js';
import { billingInWords, outlookInWords } from './billing-render.js';
import { CliError } from './exit.js';

const billing: Billing = {
  tenantId: 'tn_a' as TenantId,
  mode: 'prepaid',
  paysIn: ['IO', 'USDC'],
  dayCapMicroUsd: 10_000_000,
  monthCapMicroUsd: null,
  spentTodayMicroUsd: 1_250_000,
  spentThisMonthMicroUsd: 9_000_000,
  accruedMicroUsd: 20_000,
  microUsdPerHour: 2_000_000,
  hoursLeft: 3.5,
  lowSince: null,
  orders: [
    {
      id: 'cl_a',
      clusterId: 'cl_a' as ClusterId,
      asset: 'USDC',
      held: '2.045000',
      microUsdPerHour: 2_000_000,
      paidUntil: '2026-11-27T10:00:00.000Z',
      shortage: 'its money is spent',
    },
  ],
  waitingLines: 3,
  waitingReason: 'there is no usable price of IO',
};

test('how a tenant stands is said with what is held, what waits and when it ends', () => {
  const words = billingInWords(billing);
  for (const part of [
    /today +\$1\.25, of \$10\.00 at the most/,
    /this month +\$9\.00, no cap/,
    /lasts +3\.5 hours at this rate/,
    /held for orders +2\.045000 USDC/,
    /waits +3 lines of usage: there is no usable price of IO/,
    /cl_a +2\.045000 USDC +\$2\.00 +2026-11-27T10:00:00Z: its money is spent/,
  ]) {
    expect(words).toMatch(part);
  }
});

test('who runs nothing is told so, and no hours', () => {
  const idle = { ...billing, microUsdPerHour: 0, hoursLeft: null, orders: [], accruedMicroUsd: 0, waitingReason: null };
  expect(outlookInWords(idle)).toMatch(/^runs +nothing that costs anything$/);
});

test('a cap is set, taken back with none, or left alone; nothing to change is an error', () => {
  expect(changeOf({ dayCap: 5, monthCap: 'none' } as never)).toEqual({ dayCapMicroUsd: 5, monthCapMicroUsd: null });
  expect(() => changeOf({} as never)).toThrow(CliError);
});
