/** SHA-256 of many short texts: a proof takes some thousands. */
import * as crypto from 'node:crypto';
import type { Hash } from '../core/verification/index.js';

/** Node has a function for one digest at a time from 20.12 on, which makes no object for each. */
export const sha256: Hash =
  typeof crypto.hash === 'function'
    ? bytes => crypto.hash('sha256', bytes, 'buffer')
    : bytes => crypto.createHash('sha256').update(bytes).digest();
