/** Release of this control plane; package.json has it too, and a test holds the two together. */
export const version = '0.1.0';
