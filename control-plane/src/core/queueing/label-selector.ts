/** Ray's label selectors: `key: value`, `!value`, `in(a, b)`, `!in(a, b)` (ray/_private/label_utils.py). */

export interface LabelCondition {
  key: string;
  negated: boolean;
  values: string[];
}

const keyPattern = /^([a-zA-Z0-9.-]{1,253}\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;

/** Null when the text is no selector. */
export function parseLabelCondition(key: string, text: string): LabelCondition | null {
  const match = /^(!?)(?:in\(([^()]*)\)|([^()!]*))$/.exec(text.trim());
  if (!match || !keyPattern.test(key)) return null;
  const list = match[2];
  const values = list === undefined ? [match[3] ?? ''] : list.split(',').map(value => value.trim());
  if (values.length === 0 || !values.every(value => valuePattern.test(value))) return null;
  return { key, negated: match[1] === '!', values };
}

/**
 * May a node with these labels satisfy the selector? Labels under `ray.io/` are set by Ray on the node itself and are
 * not known here: a condition on one of them excludes no node.
 */
export function labelsMatch(labels: Record<string, string>, selector: Record<string, string>): boolean {
  return Object.entries(selector).every(([key, text]) => {
    if (key.startsWith('ray.io/')) return true;
    const condition = parseLabelCondition(key, text);
    if (!condition) return false;
    const value = labels[key];
    const among = value !== undefined && condition.values.includes(value);
    return condition.negated ? !among : among;
  });
}

/** The labels that a node must carry to satisfy the selector for certain: its plain equalities. */
export function labelsFor(selector: Record<string, string>): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [key, text] of Object.entries(selector)) {
    const condition = parseLabelCondition(key, text);
    const value = condition?.values[0];
    if (!condition || condition.negated || value === undefined || key.startsWith('ray.io/')) continue;
    labels[key] = value;
  }
  return labels;
}
