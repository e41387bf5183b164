/** What placement would do, in words and tables. Pure. */
import type { Explanation } from '@iocloud/contracts';
import { usdInWords } from '@iocloud/contracts/amounts';
import { duration, facts, table } from '../output.js';

const outcomes = { now: 'there is room now', later: 'there is no room now', never: 'no machine will do' } as const;
const price = (microUsd: number | null) => (microUsd === null ? '-' : `$${usdInWords(microUsd)}/h`);

export function explanationInWords(explanation: Explanation, nowMs: number): string {
  const { outcome, message, expectedStartAt, constraints, alternatives, candidates } = explanation;
  const inMs = expectedStartAt === null ? null : Math.max(0, Date.parse(expectedStartAt) - nowMs);
  const parts = [
    facts([
      ['answer', outcomes[outcome]],
      ['because', message],
      [
        'start',
        inMs === null ? 'nothing that is known says when' : inMs < 1_000 ? 'at once' : `in about ${duration(inMs)}`,
      ],
      ...(explanation.warmCluster === null ? [] : [['cluster', explanation.warmCluster] as const]),
      ['price', price(explanation.microUsdPerHour)],
    ]),
  ];
  if (constraints.length > 0) {
    parts.push(
      table(
        ['constraint', 'machines left'],
        constraints.map(each => [each.constraint, String(each.machines)]),
      ),
    );
  }
  if (alternatives.length > 0) {
    parts.push(
      table(
        ['what would help', 'machines', 'from'],
        alternatives.map(each => [each.change, String(each.machines), price(each.microUsdPerHour)]),
      ),
    );
  }
  if (candidates.length > 0) {
    const share = (value: number) => value.toFixed(2);
    parts.push(
      table(
        ['machine', 'accelerator', 'place', 'price', 'score', 'price', 'speed', 'place', 'reputation', 'load', 'fit'],
        candidates.map(each => [
          each.name ?? 'of another tenant',
          each.accelerator ?? '-',
          [each.country, each.region].filter(Boolean).join(' '),
          price(each.microUsdPerHour),
          each.score.toFixed(3),
          ...[each.parts.price, each.parts.speed, each.parts.place, each.parts.reputation, each.parts.load].map(share),
          share(each.parts.fit),
        ]),
      ),
    );
  }
  return parts.join('\n\n');
}
