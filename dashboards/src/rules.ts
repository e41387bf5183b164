/** The rules of Prometheus as they are written, and the same with all times shorter, for tests with a real one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

export const rulesDirectory = fileURLToPath(new URL('../rules', import.meta.url));

export interface Alert {
  name: string;
  expr: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

interface RuleFile {
  groups: {
    rules: {
      alert?: string;
      record?: string;
      expr: string | number;
      for?: string;
      labels?: Record<string, string>;
      annotations?: Record<string, string>;
    }[];
  }[];
}

const yamlFiles = (directory: string) => readdirSync(directory).filter(name => name.endsWith('.yaml'));

export function readRules(): { alerts: Alert[]; records: { name: string; expr: string }[] } {
  const alerts: Alert[] = [];
  const records: { name: string; expr: string }[] = [];
  for (const name of yamlFiles(rulesDirectory)) {
    const { groups } = parse(readFileSync(join(rulesDirectory, name), 'utf8')) as RuleFile;
    for (const rule of groups.flatMap(group => group.rules)) {
      const expr = String(rule.expr);
      if (rule.alert)
        alerts.push({ name: rule.alert, expr, labels: rule.labels ?? {}, annotations: rule.annotations ?? {} });
      if (rule.record) records.push({ name: rule.record, expr });
    }
  }
  return { alerts, records };
}

/** What promtool is asked: an alert, and how often it should fire. */
export function readRuleTests(): { alert: string; fires: number }[] {
  const directory = join(rulesDirectory, 'tests');
  return yamlFiles(directory).flatMap(name => {
    const { tests } = parse(readFileSync(join(directory, name), 'utf8')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    return tests.flatMap(one =>
      one.alert_rule_test.map(({ alertname, exp_alerts }) => ({ alert: alertname, fires: exp_alerts.length })),
    );
  });
}

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export interface Shortening {
  factor: number;
  /** No duration becomes shorter: a rate needs two readings. */
  leastMs: number;
  /** Alerts whose bounds in seconds are shortened too; those of the others are matched to the pace of the system itself. */
  bounds: readonly string[];
}

/**
 * A rule file with times divided by a factor: the durations of PromQL (`[5m]`, `[1h:1m]`, `offset 15m`) and the wait of an
 * alert (`for: 5m`); of some alerts also bounds in seconds, which rules write as so many minutes, hours or days (`15 * 60`).
 */
export function shortened(text: string, { factor, leastMs, bounds }: Shortening): string {
  const shorter = (duration: string) => {
    const [, amount = '', unit = ''] = /^(\d+)([smhd])$/.exec(duration) ?? [];
    return `${Math.round(Math.max(leastMs, (Number(amount) * unitMs[unit as keyof typeof unitMs]) / factor))}ms`;
  };
  const durations = (expr: string) =>
    expr
      .replace(/\[(\d+[smhd])(?::(\d+[smhd]))?\]/g, (_, range: string, step?: string) =>
        step ? `[${shorter(range)}:${shorter(step)}]` : `[${shorter(range)}]`,
      )
      .replace(/\boffset (\d+[smhd])/g, (_, by: string) => `offset ${shorter(by)}`);
  const seconds = (expr: string) =>
    expr.replace(/\b(\d+) \* (60|3600|86400)\b/g, (_, amount: string, unit: string) =>
      String((Number(amount) * Number(unit)) / factor),
    );
  const file = parse(text) as RuleFile;
  for (const rule of file.groups.flatMap(group => group.rules)) {
    const expr = durations(String(rule.expr));
    rule.expr = bounds.includes(rule.alert ?? '') ? seconds(expr) : expr;
    if (rule.for) rule.for = shorter(rule.for);
  }
  return stringify(file, { lineWidth: 0 });
}
