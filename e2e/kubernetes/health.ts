/** Whether a component of the bed answers that it is well; its certificate is its own. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

export function answers(url: string): Promise<boolean> {
  return new Promise(resolve => {
    const request = url.startsWith('https:')
      ? httpsRequest(url, { rejectUnauthorized: false, timeout: 2_000, agent: false })
      : httpRequest(url, { timeout: 2_000, agent: false });
    request.on('response', response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.end();
  });
}
