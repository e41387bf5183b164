/** The life of a message to one address, as a table; ARCHITECTURE.md draws it. */
export type DeliveryState = 'pending' | 'delivered' | 'failed';
export type DeliveryEvent = 'arrived' | 'missed' | 'givenUp' | 'disabled' | 'sentAgain';

export const deliveryTransitions: Record<DeliveryState, Partial<Record<DeliveryEvent, DeliveryState>>> = {
  pending: { arrived: 'delivered', missed: 'pending', givenUp: 'failed', disabled: 'failed' },
  delivered: { sentAgain: 'pending' },
  failed: { sentAgain: 'pending', arrived: 'delivered' },
};

/** Null: not from there. */
export const nextState = (state: DeliveryState, event: DeliveryEvent): DeliveryState | null =>
  deliveryTransitions[state][event] ?? null;
