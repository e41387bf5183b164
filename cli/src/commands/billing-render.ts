/** A tenant's billing as a person reads it. Pure. */
import type { Billing } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import { facts, table } from '../output.js';

const usd = (amount: number) => `$${usdInWords(amount)}`;

/** What is held and for how long it lasts: also below `iocloud balance`. */
export function outlookInWords({
  microUsdPerHour,
  hoursLeft,
  accruedMicroUsd,
  orders,
  waitingLines,
  waitingReason,
}: Billing): string {
  const held = orders.map(({ held, asset }) => `${held} ${asset}`).join(', ');
  return facts([
    [
      'runs',
      microUsdPerHour === 0 ? 'nothing that costs anything' : `for ${usd(microUsdPerHour)} an hour, before fees`,
    ],
    ...(orders.length > 0 ? [['held for orders', held] as [string, string]] : []),
    ...(accruedMicroUsd > 0 ? [['not charged yet', `up to ${usd(accruedMicroUsd)}`] as [string, string]] : []),
    ...(hoursLeft === null ? [] : [['lasts', `${hoursLeft} hours at this rate`] as [string, string]]),
    ...(waitingReason === null
      ? []
      : [['waits', `${waitingLines} lines of usage: ${waitingReason}`] as [string, string]]),
  ]);
}

export function billingInWords(billing: Billing): string {
  const cap = (limit: number | null) => (limit === null ? 'no cap' : `of ${usd(limit)} at the most`);
  const settings = facts([
    ['billing', billing.mode === 'off' ? 'off: nothing is held or paid' : 'prepaid'],
    ['pays in', billing.paysIn.join(', ')],
    ['today', `${usd(billing.spentTodayMicroUsd)}, ${cap(billing.dayCapMicroUsd)}`],
    ['this month', `${usd(billing.spentThisMonthMicroUsd)}, ${cap(billing.monthCapMicroUsd)}`],
    ...(billing.lowSince === null ? [] : [['low since', billing.lowSince] as [string, string]]),
  ]);
  const orders = table(
    ['order', 'held', 'per hour', 'paid until'],
    billing.orders.map(({ id, held, asset, microUsdPerHour, paidUntil, shortage }) => [
      id,
      `${held} ${asset}`,
      usd(microUsdPerHour),
      paidUntil === null ? 'no end in sight' : `${paidUntil.slice(0, 19)}Z: ${shortage}`,
    ]),
  );
  return [settings, outlookInWords(billing), ...(billing.orders.length > 0 ? [orders] : [])].join('\n');
}
