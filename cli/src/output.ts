/** What a person reads on a terminal: tables, times, amounts. Pure. */

/** Text from elsewhere must not steer the terminal: control characters are shown as they are not. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
  return text.replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+/g, ' ');
}

/** Columns padded to their widest cell, two spaces between; no trailing space. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [headers.map(header => header.toUpperCase()), ...rows.map(row => row.map(cell => plain(cell) || '-'))];
  const widths = headers.map((_, column) => Math.max(...cells.map(row => (row[column] ?? '').length)));
  return cells
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `name  value` lines under one another. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${plain(value) || '-'}`).join('\n');
}

const units: readonly [string, number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];

/** Its two largest units: 45s, 3m20s, 2h5m, 4d. */
export function duration(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000));
  const first = units.findIndex(([, size]) => rest >= size);
  if (first === -1) return '0s';
  return units
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return count > 0 ? `${count}${unit}` : '';
    })
    .join('');
}

/** How long ago, or a dash. */
export function age(at: string | null, nowMs: number): string {
  return at === null ? '-' : duration(nowMs - Date.parse(at));
}

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < binary.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) || value >= 100 ? Math.round(value) : value.toFixed(1)} ${binary[unit]}`;
}

export function oneLine(text: string, longest: number): string {
  const line = plain(text).trim();
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}
