/** What a machine must have to join. */
export { minimum, minimumForEach, shortfalls } from './minimum.js';
