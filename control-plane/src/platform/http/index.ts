/** HTTP: the binding of the route table, failures and their documents. */
export { type Answer, collectAnswer } from './collect-answer.js';
export { Failure, toProblem } from './failure.js';
export {
  type Authenticate,
  type Call,
  type Caller,
  type Handler,
  Http,
  neededPermission,
  type RefusedCall,
  type Upgrade,
} from './http.js';
