/** What is checked in is what the code makes, asks only for what is exported, and leads somewhere. */
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { boardUrl } from './board.js';
import { knownMetrics } from './catalogue.js';
import { boardFile, boardJson, boards, panelQueries } from './index.js';
import { family, metricsIn } from './promql.js';
import { filledIn, variableSelectors } from './queries.js';

const directory = new URL('../grafana/', import.meta.url);
const known = knownMetrics();
const unknown = (expr: string) =>
  metricsIn(filledIn(expr)).filter(name => !known.has(name) && !known.has(family(name)));

describe.each(boards)('$title', board => {
  const parsed = JSON.parse(boardJson(board));

  test('is checked in as it is made: npm run generate -w dashboards', async () => {
    expect(await readFile(new URL(boardFile(board), directory), 'utf8')).toBe(boardJson(board));
  });

  test('asks only for metrics that something exports', () => {
    const queries = panelQueries([board]);
    expect(queries.length).toBeGreaterThan(3);
    expect(queries.flatMap(({ expr, panel }) => unknown(expr).map(name => `${panel}: ${name}`))).toEqual([]);
    expect(variableSelectors(board).flatMap(({ selector }) => unknown(selector))).toEqual([]);
  });

  test('has panels that say what they show, in a unit, in their place', () => {
    let row = '';
    const titles: string[] = [];
    for (const panel of parsed.panels) {
      if (panel.type === 'row') {
        row = panel.title;
        continue;
      }
      titles.push(`${row} / ${panel.title}`);
      expect(panel).toMatchObject({
        title: expect.stringMatching(/\w/),
        description: expect.stringMatching(/\.$/),
        fieldConfig: { defaults: { unit: expect.any(String) } },
        gridPos: { w: expect.any(Number), h: expect.any(Number) },
      });
      expect(panel.gridPos.x + panel.gridPos.w).toBeLessThanOrEqual(24);
    }
    expect(overlaps(parsed.panels)).toEqual([]);
    expect(new Set(titles).size).toBe(titles.length);
  });

  test('uses no variable that it does not have, and links to dashboards that there are', () => {
    const have = parsed.templating.list.map(({ name }: { name: string }) => name);
    const text = boardJson(board);
    const used = [...text.matchAll(/\$\{?([a-z]\w*)\b(?!\.)/g)].map(([, name]) => name);
    expect(used.filter(name => !have.includes(name))).toEqual([]);
    const links = [...text.matchAll(/"url": "(\/d\/[\w-]+)/g)].map(([, url]) => url);
    expect(links.filter(url => !boards.some(({ uid }) => boardUrl(uid) === url))).toEqual([]);
  });
});

test('no other dashboards are handed out', async () => {
  expect((await readdir(directory)).sort()).toEqual(boards.map(boardFile).sort());
});

test('what is no PromQL, and what nothing exports, would be found', () => {
  expect(() => metricsIn('sum(rate(x[5m])')).toThrow('no PromQL');
  expect(unknown('sum by (phase) (rate(iocloud_no_such_total[$__rate_interval])) / iocloud_jobs')).toEqual([
    'iocloud_no_such_total',
  ]);
});

interface Placed {
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
}

function overlaps(panels: Placed[]): string[] {
  const meet = ({ gridPos: a }: Placed, { gridPos: b }: Placed) =>
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  return panels.flatMap((one, index) =>
    panels.slice(index + 1).flatMap(other => (meet(one, other) ? [`${one.title} over ${other.title}`] : [])),
  );
}
