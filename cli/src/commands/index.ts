/**
 * The commands that call the API: login, whoami, cluster, mega-cluster, ssh, port-forward, job, node, provider, appeal, price, quote, events, audit, key, user,
 * tenant, queue, balance, ledger, usage, invoice, statement, webhook, deposit, payout, settlement, stake, slash, rewards,
 * token, iosd, proposal, agent-release.
 */
import type { Command } from 'commander';
import { accountCommands } from './account.js';
import { agentReleaseCommands } from './agent-release.js';
import { auditCommands } from './audit.js';
import { billingCommands } from './billing.js';
import { clusterCommands } from './cluster.js';
import { eventCommands } from './events.js';
import { exitCodes } from './exit.js';
import { invoiceCommands } from './invoices.js';
import { jobCommands } from './job.js';
import { ledgerCommands } from './ledger.js';
import { megaClusterCommands } from './mega-cluster.js';
import { nodeCommands } from './node.js';
import { payoutCommands } from './payout.js';
import { portForwardCommand } from './port-forward.js';
import { priceCommands } from './prices.js';
import { proposalCommands } from './proposal.js';
import { providerCommands } from './provider.js';
import { quoteCommands } from './quotes.js';
import { settlementCommands } from './settlement.js';
import { sshCommands } from './ssh.js';
import { sshKeyCommands } from './ssh-keys.js';
import { stakeCommands } from './stake.js';
import { supportBundleCommand } from './support-bundle.js';
import { tenantCommands } from './tenant.js';
import { processTerminal, type Terminal } from './terminal.js';
import { tokenCommands } from './token.js';
import { usageCommands } from './usage.js';
import { appealCommands } from './verification.js';
import { webhookCommands } from './webhooks.js';

export { CliError, exitCodes } from './exit.js';
export { processTerminal, type Terminal } from './terminal.js';

/** To be called before other commands are added: they inherit that a usage error ends with exit code 2. */
export function registerCommands(program: Command, terminal: Terminal = processTerminal()): void {
  // --help and --version end well; commander has said what was wrong with anything else.
  program.exitOverride(error => terminal.exit(error.exitCode === 0 ? exitCodes.ok : exitCodes.usage));
  // What follows the cluster of `iocloud ssh` is its command's.
  program.enablePositionalOptions();
  accountCommands(program, terminal);
  tenantCommands(program, terminal);
  clusterCommands(program, terminal);
  megaClusterCommands(program, terminal);
  sshCommands(program, terminal);
  portForwardCommand(program, terminal);
  sshKeyCommands(program, terminal);
  jobCommands(program, terminal);
  nodeCommands(program, terminal);
  providerCommands(program, terminal);
  appealCommands(program, terminal);
  priceCommands(program, terminal);
  quoteCommands(program, terminal);
  eventCommands(program, terminal);
  auditCommands(program, terminal);
  ledgerCommands(program, terminal);
  invoiceCommands(program, terminal);
  webhookCommands(program, terminal);
  usageCommands(program, terminal);
  payoutCommands(program, terminal);
  settlementCommands(program, terminal);
  billingCommands(program, terminal);
  stakeCommands(program, terminal);
  tokenCommands(program, terminal);
  proposalCommands(program, terminal);
  agentReleaseCommands(program, terminal);
  supportBundleCommand(program, terminal);
}
