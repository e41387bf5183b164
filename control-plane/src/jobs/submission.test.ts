import { describe, expect, test } from '@jest/globals';
import { parseSubmission } from './submission.js';

const type = 'ray.io/accelerator-type';
const asked = (selector: object, more: object = {}) =>
  parseSubmission(JSON.stringify({ entrypoint: 'true', entrypoint_label_selector: selector, ...more }));

describe('a label selector on labels that Ray sets itself', () => {
  test('becomes a requirement, with one accelerator where it asks for some kind of them', () => {
    const { needs } = asked({ [type]: 'in(L4, L40S)', 'ray.io/availability-region': 'eu-west' });
    expect(needs).toMatchObject({ gpus: 1, requirements: { accelerators: ['l4', 'l40s'], regions: ['eu-west'] } });
    expect(needs.labelSelector[type]).toBe('in(L4, L40S)');
    expect(asked({ [type]: 'L4' }, { entrypoint_num_gpus: 0.5 }).needs.gpus).toBe(0.5);
    expect(asked({ [type]: 'L4' }, { entrypoint_num_gpus: 2 }).needs.gpus).toBe(2);
    expect(asked({ 'ray.io/region': 'eu-west' }).needs).toMatchObject({
      gpus: 0,
      requirements: { regions: ['eu-west'] },
    });
  });

  test('requires nothing where it excludes, where it is about other labels, and on a cluster that is named', () => {
    for (const selector of [{ [type]: '!L4' }, { zone: 'a' }, { 'ray.io/market-type': 'spot' }]) {
      expect(asked(selector).needs).toMatchObject({ gpus: 0, labelSelector: selector });
      expect(asked(selector).needs.requirements).toBeUndefined();
    }
    const named = asked({ [type]: 'a100' }, { metadata: { 'io.cluster': 'mine' } });
    expect([named.needs.gpus, named.needs.requirements]).toEqual([0, undefined]);
  });

  test('that contradicts the metadata, or names what Ray does not, is refused with the reason', () => {
    expect(() => asked({ [type]: 'L4' }, { metadata: { 'io.accelerator': 'H100' } })).toThrow(
      "entrypoint_label_selector: 'ray.io/accelerator-type': is none of H100, which is required too",
    );
    expect(() => asked({ [type]: 'a100' })).toThrow('did you mean A100?');
  });
});
