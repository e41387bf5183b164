/** How many workers each group of a cluster shall have, from what waits there and what is idle. Pure. */
export {
  type Decision,
  decide,
  type Group,
  type Growth,
  type Retirement,
  type Situation,
  type Worker,
} from './decide.js';
export { type Bundle, bundleInWords, type Demand, type Gang } from './demand.js';
