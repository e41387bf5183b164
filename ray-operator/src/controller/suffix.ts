/** What is put behind a name to make it one's own. */
import { randomBytes } from 'node:crypto';

const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

export const newSuffix = () => Array.from(randomBytes(5), byte => alphabet[byte % alphabet.length]).join('');
