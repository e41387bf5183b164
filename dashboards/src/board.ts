/** What all dashboards have alike: the data source, the way to the others, and what happened (deploys, incidents). */
import {
  AnnotationQueryBuilder,
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  TextBoxVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { type PanelSource, source } from './panels.js';

/** A choice of one or several values of a label; All is the default. */
export interface LabelVariable {
  name: string;
  label: string;
  /** Where the values come from: `label_values(metric{…}, label)`. */
  query: string;
  /** One value at a time; the first is the default. */
  single?: boolean;
}

export interface Board {
  /** Part of its address and the name of its file: never changed. */
  uid: string;
  title: string;
  description: string;
  variables?: LabelVariable[];
  /** Links from here, beside those to all other dashboards. */
  links?: { title: string; url: string }[];
  rows: { title: string; panels: PanelSource[] }[];
  from?: string;
}

const tag = 'iocloud';

export const boardUrl = (uid: string, query = '') => `/d/iocloud-${uid}${query === '' ? '' : `?${query}`}`;

/** Where the control plane is reached by the browser: for links to Ray's own dashboards, which are behind its login. */
const controlPlane = () =>
  new TextBoxVariableBuilder('control_plane').label('Control plane').defaultValue('http://127.0.0.1:8265');

const variable = ({ name, label, query, single }: LabelVariable) => {
  const builder = new QueryVariableBuilder(name)
    .label(label)
    .datasource(source)
    .query({ query, refId: 'labels' })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
  return single ? builder : builder.multi(true).includeAll(true).allValue('.*');
};

export function dashboard(board: Board): Dashboard {
  const builder = new DashboardBuilder(`IO Cloud / ${board.title}`)
    .uid(`iocloud-${board.uid}`)
    .description(board.description)
    .tags([tag])
    .editable()
    .tooltip(DashboardCursorSync.Crosshair)
    .timezone('browser')
    .time({ from: board.from ?? 'now-6h', to: 'now' })
    .refresh('30s')
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(controlPlane());
  for (const each of board.variables ?? []) builder.withVariable(variable(each));
  builder
    .annotation(
      new AnnotationQueryBuilder()
        .name('Deploys')
        .datasource(source)
        .enable(true)
        .iconColor('blue')
        .expr(deploys)
        .step('60s')
        .titleFormat('release {{version}}')
        .textFormat('A replica of this release has come up where there was none'),
    )
    .annotation(
      new AnnotationQueryBuilder()
        .name('Incidents')
        .datasource(source)
        .enable(true)
        .iconColor('red')
        .expr(incidents)
        .step('60s')
        .titleFormat('{{alertname}}')
        .textFormat('Somebody has been paged'),
    )
    .link(
      new DashboardLinkBuilder('IO Cloud')
        .type(DashboardLinkType.Dashboards)
        .tags([tag])
        .asDropdown(true)
        .keepTime(true)
        .includeVars(true),
    );
  for (const { title, url } of board.links ?? []) {
    builder.link(new DashboardLinkBuilder(title).type(DashboardLinkType.Link).url(url).targetBlank(true));
  }
  const built = builder.build();
  return { ...built, panels: laidOut(board.rows) };
}

const columns = 24;

/** Rows below one another; panels side by side as long as they fit. (The SDK would let them stick out.) */
function laidOut(rows: Board['rows']): NonNullable<Dashboard['panels']> {
  let id = 0;
  let y = 0;
  const next = () => {
    id += 1;
    return id;
  };
  return rows.flatMap(({ title, panels }) => {
    const row = { ...new RowBuilder(title).build(), id: next(), gridPos: { x: 0, y, w: columns, h: 1 } };
    y += 1;
    let x = 0;
    let tallest = 0;
    const placed = panels.map(source => {
      const panel = source.build();
      const { w, h } = panel.gridPos ?? { w: columns, h: 8 };
      if (x + w > columns) {
        x = 0;
        y += tallest;
        tallest = 0;
      }
      const gridPos = { x, y, w, h };
      x += w;
      tallest = Math.max(tallest, h);
      return { ...panel, id: next(), gridPos };
    });
    y += tallest;
    return [row, ...placed];
  });
}

/** Queries of the annotations, which every dashboard has. */
export const deploys =
  'count by (version) (iocloud_build_info) unless count by (version) (iocloud_build_info offset 5m)';
export const incidents = 'ALERTS{alertstate="firing", severity="page"}';
