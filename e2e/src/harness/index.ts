/** The whole system under test, and what runs on the machine. */
export { counting, type Mark, marksFile, marksOf } from './counting.js';
export { Machine } from './machine.js';
export { processes, processesNaming, until } from './processes.js';
export { type Part, type Result, repository, run, Stack } from './stack.js';
