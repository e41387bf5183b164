/** Verdicts on devices, in words. */
import type { Verification } from '@iocloud/contracts';
import { facts, table } from '../output.js';

export function verificationTable(verifications: readonly Verification[]): string {
  if (verifications.length === 0) {
    return 'not verified yet. A machine that is offered to other tenants (shared) is verified as soon as it is online, and every hour.';
  }
  const rows = verifications.map(one => [
    one.id,
    one.hour.slice(0, 16).replace('T', ' '),
    deviceInWords(one),
    one.verdict ?? one.state,
    one.appeal ? (one.appeal.decision ?? 'filed') : '-',
    one.reason || '-',
  ]);
  return table(['id', 'hour (UTC)', 'device', 'verdict', 'appeal', 'reason'], rows);
}

const deviceInWords = ({ device }: Verification): string =>
  device.index === null ? `processors (${device.model})` : `${device.index} (${device.model})`;

const ms = (value: number) => `${Math.round(value)} ms`;

export function verificationDetails(one: Verification): string {
  const lines: [string, string][] = [
    ['id', one.id],
    ['device', `${deviceInWords(one)}, ${one.device.uuid}`],
    ['hour', one.hour],
    ['state', one.state],
    ['verdict', one.verdict ? `${one.verdict}: ${one.reason}` : 'none yet'],
    ['challenges', String(one.tries)],
  ];
  const { work } = one;
  if (work) {
    const memory = (2 * work.blocks * work.rowLength ** 2) / 2 ** 20;
    lines.push([
      'work',
      `${work.passes} layers of ${work.blocks} matrices of ${work.rowLength} × ${work.rowLength}, ${work.products} products each, in ${memory} MiB`,
    ]);
  }
  if (one.slowestMs !== null) {
    const usual = one.typicalMs === null ? 'no time is known to be usual' : `${ms(one.typicalMs)} are usual`;
    lines.push([
      'threshold',
      `${one.passesNeeded} passes within ${ms(one.slowestMs)}; ${usual} (basis: ${one.basis ?? '-'})`,
    ]);
  }
  if (one.seed) lines.push(['seed', one.seed]);
  const parts = [facts(lines)];
  if (one.checks.length > 0) {
    parts.push(
      table(
        ['check', 'passed', 'found'],
        one.checks.map(c => [c.name, c.passed ? 'yes' : 'no', c.found]),
      ),
    );
  }
  if (one.passes.length > 0) {
    const rows = one.passes.map(({ pass, elapsedMs, networkMs }) => [
      pass === 0 ? '0 (not timed)' : String(pass),
      ms(elapsedMs),
      ms(networkMs),
      pass === 0 ? '-' : ms(elapsedMs - networkMs),
    ]);
    parts.push(table(['pass', 'took', 'network', 'counts'], rows));
  }
  if (one.appeal) {
    const { reason, filedBy, filedAt, decision, decisionReason } = one.appeal;
    parts.push(
      facts([
        ['appeal', `${reason} (${filedBy}, ${filedAt})`],
        ['decision', decision ? `${decision}: ${decisionReason}` : 'none yet'],
      ]),
    );
  }
  return parts.join('\n\n');
}
