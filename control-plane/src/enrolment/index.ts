/** Machines that join by themselves: the code that they show, their owner's approval, what they are given to install. */
export { enrolmentRoutes } from './routes.js';
