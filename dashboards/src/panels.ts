/**
 * The few kinds of panels that all dashboards are made of, over Grafana's foundation SDK: a dashboard says what it shows,
 * not how Grafana writes it down.
 */
import {
  BigValueColorMode,
  BigValueGraphMode,
  type DataSourceRef,
  FrameGeometrySourceBuilder,
  FrameGeometrySourceMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  MapLayerOptionsBuilder,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  type Panel,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import * as geomap from '@grafana/grafana-foundation-sdk/geomap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatPanel } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TablePanel } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as SeriesPanel } from '@grafana/grafana-foundation-sdk/timeseries';

/** Grafana's names of units. */
export type Unit =
  | 'short'
  | 's'
  | 'bytes'
  | 'percentunit'
  | 'reqps'
  | 'ops'
  | 'celsius'
  | 'watt'
  | 'Bps'
  | 'dateTimeFromNow'
  | 'none';

/** An expression and the legend of what it returns; `{{label}}` is replaced by Grafana. */
export type Query = readonly [expr: string, legend: string];

export interface Common {
  title: string;
  /** What it tells, and what to do when it looks wrong: shown at the panel's corner. */
  description: string;
  unit: Unit;
  /** Where it turns amber and red; green below. With `low`, red is below the second and green above the first. */
  thresholds?: { amber: number; red: number; low?: boolean };
  /** Of 24 columns. */
  width?: number;
  height?: number;
  /** Where a click on a value leads: a dashboard's URL with `${__field.labels.x}` in it. */
  link?: { title: string; url: string };
}

export const source: DataSourceRef = { type: 'prometheus', uid: '$datasource' };

const query = ([expr, legend]: Query, index: number) =>
  new DataqueryBuilder()
    .refId(String.fromCharCode(65 + index))
    .expr(expr)
    .legendFormat(legend)
    .datasource(source);

function steps({ amber, red, low }: NonNullable<Common['thresholds']>): Threshold[] {
  return low
    ? [
        { value: null, color: 'red' },
        { value: red, color: 'orange' },
        { value: amber, color: 'green' },
      ]
    : [
        { value: null, color: 'green' },
        { value: amber, color: 'orange' },
        { value: red, color: 'red' },
      ];
}

interface Dressed {
  title(title: string): this;
  description(description: string): this;
  datasource(datasource: DataSourceRef): this;
  unit(unit: string): this;
  span(width: number): this;
  height(height: number): this;
  thresholds(thresholds: ThresholdsConfigBuilder): this;
  dataLinks(links: DashboardLinkBuilder[]): this;
}

function dress<P extends Dressed>(panel: P, given: Common, width: number, height: number): P {
  panel
    .title(given.title)
    .description(given.description)
    .datasource(source)
    .unit(given.unit)
    .span(given.width ?? width)
    .height(given.height ?? height)
    .thresholds(
      new ThresholdsConfigBuilder()
        .mode(ThresholdsMode.Absolute)
        .steps(given.thresholds ? steps(given.thresholds) : [{ value: null, color: 'green' }]),
    );
  if (given.link) {
    panel.dataLinks([new DashboardLinkBuilder(given.link.title).type(DashboardLinkType.Link).url(given.link.url)]);
  }
  return panel;
}

export type PanelSource = { build(): Panel };

/** Lines over time. `stack`: parts of a whole. */
export function series(given: Common & { queries: readonly Query[]; stack?: boolean; max?: number }): PanelSource {
  const panel = dress(new SeriesPanel(), given, 8, 8)
    .targets(given.queries.map(query))
    .min(0)
    .lineWidth(1)
    .fillOpacity(given.stack ? 40 : 8)
    .showPoints(VisibilityMode.Never)
    .spanNulls(false)
    .drawStyle(GraphDrawStyle.Line)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    );
  if (given.max !== undefined) panel.max(given.max);
  if (given.stack) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  return panel;
}

/** One value that is looked at first. */
export function stat(given: Common & { query: string; legend?: string; noValue?: string }): PanelSource {
  return dress(new StatPanel(), given, 4, 4)
    .targets([query([given.query, given.legend ?? ''], 0)])
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .colorMode(given.thresholds ? BigValueColorMode.Value : BigValueColorMode.None)
    .graphMode(BigValueGraphMode.Area)
    .noValue(given.noValue ?? '–');
}

/** What stands now, a row for each set of labels; `columns` names labels in their order. */
export function table(given: Common & { query: string; columns: readonly string[]; value: string }): PanelSource {
  const indexByName = Object.fromEntries([...given.columns, 'Value'].map((name, index) => [name, index]));
  return dress(new TablePanel(), given, 12, 8)
    .targets([query([given.query, ''], 0).instant().format(PromQueryFormat.Table)])
    .withTransformation({
      id: 'filterFieldsByName',
      options: { include: { names: [...given.columns, 'Value'] } },
    })
    .withTransformation({ id: 'organize', options: { indexByName, renameByName: { Value: given.value } } })
    .withTransformation({ id: 'sortBy', options: { sort: [{ field: given.value, desc: true }] } });
}

/** Countries by their ISO 3166 code, in the label `country`. */
export function countryMap(given: Common & { query: string }): PanelSource {
  return dress(new geomap.PanelBuilder(), given, 12, 12)
    .targets([query([given.query, '{{country}}'], 0).instant().format(PromQueryFormat.Table)])
    .view(new geomap.MapViewConfigBuilder().id(geomap.MapCenterID.Coords).lat(25).lon(10).zoom(1))
    .controls(new geomap.ControlsOptionsBuilder().showZoom(true).mouseWheelZoom(false).showAttribution(true))
    .basemap(new MapLayerOptionsBuilder().type('default').name('map'))
    .layers([
      new MapLayerOptionsBuilder()
        .type('markers')
        .name('machines')
        .location(
          new FrameGeometrySourceBuilder()
            .mode(FrameGeometrySourceMode.Lookup)
            .lookup('country')
            .gazetteer('public/gazetteer/countries.json'),
        )
        .config({
          showLegend: true,
          style: {
            size: { field: 'Value', min: 6, max: 40 },
            color: { fixed: 'green' },
            opacity: 0.6,
            text: { field: 'Value', mode: 'field', fixed: '' },
          },
        }),
    ]);
}
