import { expect, test } from '@jest/globals';
import { parseChange } from './proposal.js';

test('changes add up, models one by one, and amounts keep their digits', () => {
  const first = parseChange('multiplierPpm.h100-sxm=2000000');
  const second = parseChange('multiplierPpm.rtx-4090=500000', first);
  expect(parseChange('stakePerGpu=200.00000001', parseChange('cooldownHours=504', second))).toEqual({
    multiplierPpm: { 'h100-sxm': 2_000_000, 'rtx-4090': 500_000 },
    cooldownHours: 504,
    stakePerGpu: '200.00000001',
  });
});

test.each(['cooldownHours', '=5', 'a b=5', 'cooldownHours='])('%j is no change', text => {
  expect(() => parseChange(text)).toThrow('is no change');
});
