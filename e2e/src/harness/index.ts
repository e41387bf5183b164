/** The whole system under test, and what runs on the machine. */
export { findChromium } from './browser.js';
export { Payee, TestChain } from './chain.js';
export { counting, countingTask, letFinish, type Mark, marksFile, marksOf } from './counting.js';
export { handshake } from './handshake.js';
export { Internet, type Site } from './internet.js';
export { installLine, interrupt, Joined } from './joined.js';
export { Machine } from './machine.js';
export { MachineNetwork, networkObstacle } from './network.js';
export { type PretendedGpu, pretendGpu } from './nvidia.js';
export { Observer } from './observer.js';
export { processes, processesNaming, until } from './processes.js';
export { exchange, freePort, type SshRun, SshUser } from './ssh.js';
export { Sshd, sshdObstacle, startSshd } from './sshd.js';
export { type Part, type Result, repository, run, Stack } from './stack.js';
