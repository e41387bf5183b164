/** From the meter to the chain: what is late, what is owed, and whether the sums agree. */
import type { Board } from './board.js';
import { series, stat } from './panels.js';

export const billing: Board = {
  uid: 'billing',
  title: 'Billing and settlement',
  description:
    'Metering, charges, the ledger, pay-outs and the chain. Amounts are in the smallest unit of their asset.',
  rows: [
    {
      title: 'Must be zero',
      panels: [
        stat({
          title: 'Ledger imbalance',
          description: 'Sum of all accounts of any asset. Anything but 0: stop pay-outs and read the runbook.',
          unit: 'none',
          query: 'max(abs(max by (asset) (iocloud_ledger_imbalance_units))) or vector(0)',
          thresholds: { amber: 1, red: 1 },
        }),
        stat({
          title: 'Differences of the checker',
          description: 'Between what is recorded and what usage, prices and fees come to.',
          unit: 'none',
          query: 'sum(max by (check) (iocloud_check_differences))',
          thresholds: { amber: 1, red: 1 },
          noValue: 'not run yet',
        }),
        stat({
          title: 'Chain against ledger',
          description: 'Units that nothing explains. Pay-outs are paused while there are any.',
          unit: 'none',
          query: 'max(abs(max by (asset) (iocloud_settlement_difference_units)))',
          thresholds: { amber: 1, red: 1 },
          noValue: 'no settlement',
        }),
        stat({
          title: 'Since the last clean check',
          description: 'Of the check that was clean the longest ago.',
          unit: 's',
          query: 'max(time() - max by (check) (iocloud_check_last_clean_timestamp_seconds))',
          thresholds: { amber: 7_200, red: 86_400 },
          noValue: 'not run yet',
        }),
        stat({
          title: 'Orders short of money',
          description: 'Their tenants were warned; their clusters end in order.',
          unit: 'short',
          query: 'max(iocloud_orders_short)',
          thresholds: { amber: 1, red: 50 },
        }),
        stat({
          title: 'Lines uncharged',
          description: 'Usage without its charge. Grows while there is no usable price of IO.',
          unit: 'short',
          query: 'max(iocloud_usage_lines_uncharged)',
          thresholds: { amber: 1_000, red: 100_000 },
        }),
      ],
    },
    {
      title: 'Metering',
      panels: [
        series({
          title: 'Lag',
          description: 'How late the meter is with the lease that it is the latest with.',
          unit: 's',
          thresholds: { amber: 300, red: 3_600 },
          queries: [
            ['max(iocloud_metering_lag_seconds)', 'late'],
            ['max(iocloud_metering_oldest_open_seconds)', 'since the last closed window'],
          ],
        }),
        series({
          title: 'Lines of usage',
          description: 'Corrections are what came late or was wrong.',
          unit: 'ops',
          queries: [['sum by (kind) (rate(iocloud_usage_lines_total[$__rate_interval]))', '{{kind}}']],
        }),
        series({
          title: 'Accelerator time held and working',
          description: 'GPU-seconds a second of all leases. The gap is not billed: machines down, heads unreachable.',
          unit: 'short',
          queries: [
            ['sum(rate(iocloud_lease_gpu_seconds_allocated_total[$__rate_interval]))', 'held'],
            ['sum(rate(iocloud_lease_gpu_seconds_available_total[$__rate_interval]))', 'working'],
          ],
        }),
      ],
    },
    {
      title: 'Ledger and orders',
      panels: [
        series({
          title: 'Balances in IO',
          description: 'By kind of account, in IO (10⁸ units).',
          unit: 'short',
          queries: [['max by (kind) (iocloud_ledger_balance_units{asset="IO"}) / 1e8', '{{kind}}']],
        }),
        series({
          title: 'Balances in USDC',
          description: 'By kind of account, in USDC (10⁶ units).',
          unit: 'short',
          queries: [['max by (kind) (iocloud_ledger_balance_units{asset="USDC"}) / 1e6', '{{kind}}']],
        }),
        series({
          title: 'Open orders',
          description: 'Orders that hold money, and those that lack some.',
          unit: 'short',
          queries: [
            ['max by (asset) (iocloud_orders_open)', '{{asset}}'],
            ['max(iocloud_orders_short)', 'short of money'],
          ],
        }),
        series({
          title: 'Documents',
          description: 'Invoices and statements on record.',
          unit: 'short',
          queries: [['max by (kind) (iocloud_invoices)', '{{kind}}']],
        }),
      ],
    },
    {
      title: 'Settlement on Solana',
      panels: [
        series({
          title: 'Pay-outs under way',
          description: 'By state. `requested` waits for its second confirmation.',
          unit: 'short',
          stack: true,
          queries: [['max by (state) (iocloud_payouts)', '{{state}}']],
        }),
        series({
          title: 'Oldest pay-out by state',
          description: 'What is signed or sent for minutes does not come through: look at the fee and at the chain.',
          unit: 's',
          queries: [['max by (state) (iocloud_payouts_oldest_seconds)', '{{state}}']],
        }),
        series({
          title: 'SOL of the fee payer',
          description: 'At finality. Below what a day of pay-outs costs, fill it up.',
          unit: 'short',
          queries: [['max(iocloud_settlement_fee_payer_lamports) / 1e9', 'SOL']],
        }),
        series({
          title: 'Since the last turn',
          description: 'Of settlement.',
          unit: 's',
          queries: [['time() - max(iocloud_settlement_last_turn_timestamp_seconds > 0)', 'since']],
        }),
        series({
          title: 'Problems and open differences',
          description: 'Of the last turn; and differences that nobody has acknowledged.',
          unit: 'short',
          queries: [
            ['max(iocloud_settlement_problems)', 'problems'],
            ['max(iocloud_settlement_open_differences)', 'open differences'],
          ],
        }),
      ],
    },
    {
      title: 'Webhooks',
      panels: [
        series({
          title: 'Attempts',
          description: 'To send messages, by result.',
          unit: 'ops',
          queries: [['sum by (result) (rate(iocloud_webhook_attempts_total[$__rate_interval]))', '{{result}}']],
        }),
        series({
          title: 'Messages',
          description: 'Those that wait, and those given up that are still kept.',
          unit: 'short',
          queries: [['max by (state) (iocloud_webhook_deliveries)', '{{state}}']],
        }),
        series({
          title: 'Most overdue message',
          description: 'Receivers that fail are paused and tried again: this is what is late beyond that.',
          unit: 's',
          queries: [['max(iocloud_webhook_deliveries_overdue_seconds)', 'overdue']],
        }),
      ],
    },
  ],
};
