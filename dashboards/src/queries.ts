/** What dashboards ask of Prometheus, with Grafana's variables filled in, as Grafana would. */
import { type Dashboard, type Panel, type RowPanel, VariableType } from '@grafana/grafana-foundation-sdk/dashboard';
import { type Board, dashboard, deploys, incidents } from './board.js';

export interface PanelQuery {
  board: string;
  row: string;
  panel: string;
  /** As it stands in the dashboard. */
  expr: string;
}

const isRow = (panel: Panel | RowPanel): panel is RowPanel => panel.type === 'row';

/** Of all panels, and of the annotations once. */
export function panelQueries(boards: readonly Board[]): PanelQuery[] {
  const ofAnnotations = [deploys, incidents].map(expr => ({ board: 'all', row: '', panel: 'annotation', expr }));
  return [...boards.flatMap(board => queriesOf(board.uid, dashboard(board))), ...ofAnnotations];
}

/** A row that is open stands before its panels in the same list. */
function queriesOf(board: string, { panels = [] }: Dashboard): PanelQuery[] {
  let row = '';
  return panels.flatMap(panel => {
    if (isRow(panel)) {
      row = panel.title ?? '';
      return [];
    }
    return (panel.targets ?? []).map(target => {
      const { expr } = target as unknown as { expr: string };
      return { board, row, panel: panel.title ?? '', expr };
    });
  });
}

/** Queries that fill variables: `label_values(selector, label)`, which is Grafana's and not Prometheus'. */
export function variableSelectors(board: Board): { name: string; selector: string; label: string }[] {
  return (dashboard(board).templating?.list ?? [])
    .filter(({ type }) => type === VariableType.Query)
    .map(({ name, query }) => {
      const text = (query as { query: string }).query;
      const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
      if (!selector || !label) throw new Error(`variable ${name} asks ${text}`);
      return { name, selector, label };
    });
}

/** `values`: of the variables with one value; all others take everything. Times as for an hour that is shown. */
export function filledIn(expr: string, values: Record<string, string> = {}): string {
  return expr
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$__range', '1h')
    .replace(/\$\{?(\w+)\}?/g, (_, name: string) => values[name] ?? '.*');
}
