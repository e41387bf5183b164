const tokenBytes = 32;

/** A cluster's own Ray token: 256 random bits in hexadecimal. */
export const newToken = (random: (n: number) => Uint8Array): string => Buffer.from(random(tokenBytes)).toString('hex');
