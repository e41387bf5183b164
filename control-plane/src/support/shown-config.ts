import type { Config } from '../platform/index.js';

/** Configuration as it may be shown: keys of access are in addresses' logins, paths and queries, so these are left out. Pure. */
export const shownConfig = (config: Config): Record<string, unknown> =>
  Object.fromEntries(Object.entries(config).map(([key, value]) => [key, shown(value)]));

function shown(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string' && /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) {
    if (!URL.canParse(value)) return '[an address]';
    const { protocol, host } = new URL(value);
    return `${protocol}//${host}`;
  }
  if (Array.isArray(value)) return value.map(shown);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shown(one)]));
}
