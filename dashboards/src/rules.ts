/** The rules of Prometheus as they are written, and the same with all times shorter, for tests with a real one. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

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
      if (rule.alert) alerts.push({ name: rule.alert, expr, labels: rule.labels ?? {}, annotations: rule.annotations ?? {} });
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

/**
 * The text of a rule file with every time divided by `factor`: durations of PromQL (`[5m]`, `[1h:1m]`, `offset 15m`), the
 * wait of an alert (`for: 5m`), and bounds in seconds, which the rules write as so many minutes, hours or days (`15 * 60`,
 * `3 * 3600`, `66 * 86400`). No duration becomes
 * shorter than `leastMs`: a rate needs two readings.
 */
export function shortened(text: string, factor: number, leastMs: number): string {
  const shorter = (duration: string) => {
    const [, amount = '', unit = ''] = /^(\d+)([smhd])$/.exec(duration) ?? [];
    return `${Math.round(Math.max(leastMs, (Number(amount) * unitMs[unit as keyof typeof unitMs]) / factor))}ms`;
  };
  return text
    .replace(/\[(\d+[smhd])(?::(\d+[smhd]))?\]/g, (_, range: string, step?: string) =>
      step ? `[${shorter(range)}:${shorter(step)}]` : `[${shorter(range)}]`,
    )
    .replace(/\boffset (\d+[smhd])/g, (_, by: string) => `offset ${shorter(by)}`)
    .replace(/^(\s+for: )(\d+[smhd])$/gm, (_, key: string, wait: string) => `${key}${shorter(wait)}`)
    .replace(/\b(\d+) \* (60|3600|86400)\b/g, (_, amount: string, unit: string) =>
      String((Number(amount) * Number(unit)) / factor),
    );
}
