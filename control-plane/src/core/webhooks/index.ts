/** Webhooks: which events an address wants, when a message that did not arrive is sent again. Pure. */
export { type DeliveryEvent, type DeliveryState, deliveryTransitions, nextState } from './deliveries.js';
export { isWanted, typeOf } from './filters.js';
export { attemptsInAll, pauseMs } from './schedule.js';
