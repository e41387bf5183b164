/** Token rules: emission, rewards, stake, slashing, votes, IOSD. Pure; docs/token.md says the same in words. */
export { EmissionSchedule, type EmissionTerms, publishedEmission } from './emission.js';
export { outcome, type ProposalEvent, proposalTransitions } from './governance.js';
export { iosdUnits } from './iosd.js';
export { changedParameters, defaultParameters, minimumStake, parametersFault, stakeShare } from './parameters.js';
export { judge, type MachineFacts, type Reward, type Split, splitHour } from './rewards.js';
export { type Slashable, type SlashEvent, slashParts, slashTransitions } from './slashing.js';
