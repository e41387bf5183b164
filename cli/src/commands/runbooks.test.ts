/** The runbooks name only commands and options that there are. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { Command } from 'commander';
import { registerCommands } from './index.js';
import type { Terminal } from './terminal.js';

const pages = fileURLToPath(new URL('../../../docs/runbooks/', import.meta.url));
const program = new Command('iocloud');
registerCommands(program, {} as Terminal);

/** What is wrong with a line such as `iocloud node drain nd_… --grace 5m`, or null. */
function fault(line: string): string | null {
  let command = program;
  const words = line.split(/\s+/).slice(1);
  while (command.commands.length > 0) {
    const next = command.commands.find(one => one.name() === words[0]);
    if (!next) return `${line}: no command ${words[0] ?? ''}`;
    command = next;
    words.shift();
  }
  const unknown = words.filter(word => word.startsWith('--') && !command.options.some(({ long }) => long === word));
  return unknown.length > 0 ? `${line}: no option ${unknown[0]}` : null;
}

test('commands in the runbooks are ones of the command line', () => {
  const lines = readdirSync(pages).flatMap(page => {
    const text = readFileSync(`${pages}${page}`, 'utf8');
    return [...text.matchAll(/^(iocloud [^\n|]+)|`(iocloud [a-z][^`]+)`/gm)].map(
      ([, line, quoted]) => line ?? quoted ?? '',
    );
  });
  expect(lines.length).toBeGreaterThan(60);
  expect(lines.map(fault).filter(Boolean)).toEqual([]);
  expect(fault('iocloud node polish nd_1')).toContain('no command polish');
  expect(fault('iocloud queue --deep')).toContain('no option --deep');
});
