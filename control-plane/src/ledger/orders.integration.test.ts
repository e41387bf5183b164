/** An order over HTTP, from its credit to its end; what happens once, and what is taken back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { LedgerOverHttp } from './testing/over-http.js';

let on: LedgerOverHttp;
beforeAll(async () => {
  on = await LedgerOverHttp.start();
});
beforeEach(() => on.nextOrder());
afterAll(() => on?.stop());

describe('an order', () => {
  test('is paid out of its hold to the unit, and what is left goes back once', async () => {
    expect((await on.credit()).status).toBe(201);
    expect(await on.openHold('10')).toMatchObject({ status: 201, body: { left: '10.000000', closed: false } });
    const { status, body: settled } = await on.settle('1.234567', 'hour 1');
    expect(status).toBe(201);
    expect(settled.detail).toMatchObject({ usdPerIo: '185/100', paid: '1.262344', rounding: '0.000001' });
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '90.000000', 'escrow USDC': '8.737656' });
    expect(await on.balances(on.supplier)).toEqual({ 'earnings IO': '0.66566486' });
    expect(await on.closeHold()).toMatchObject({ status: 200, body: { left: '0.000000', closed: true } });
    expect(await on.closeHold()).toMatchObject({ status: 200, body: { left: '0.000000', closed: true } });
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '98.737656' });
    expect((await on.settle('1', 'late')).status).toBe(409);
    expect((await on.call(on.renter, 'GET', '/accounts?closed=true')).body.items).toHaveLength(2);
    expect((await on.eventsOf(on.renter)).map(({ reason }) => reason)).toEqual([
      'LedgerCredited',
      'HoldOpened',
      'HoldClosed',
    ]);
    expect((await on.call(on.operator, 'GET', '/check')).body).toMatchObject({ clean: true, differences: [] });
  });

  test('in IO costs no payment fee', async () => {
    await on.credit('5', 'IO');
    await on.openHold('2', 'IO');
    expect((await on.settle('1.234567', 'hour 1')).body.detail).toMatchObject({
      paid: '0.66900184',
      paymentFee: '0.00000000',
    });
    expect(await on.balances(on.supplier)).toEqual({ 'earnings IO': '0.66566517' });
  });

  test('that costs more than is set aside is refused whole', async () => {
    await on.credit('1');
    await on.openHold('1');
    expect(await on.settle('1', 'hour 1')).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('less left') },
    });
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '0.000000', 'escrow USDC': '1.000000' });
  });

  test('cannot set aside what is not there, nor take another’s reference', async () => {
    expect(await on.openHold('1')).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('has less than') },
    });
    await on.credit('3');
    await on.openHold('1');
    expect((await on.openHold('1')).status).toBe(201);
    expect((await on.openHold('2')).status).toBe(409);
    const other = { reference: on.order, tenantId: on.stranger.tenantId, asset: 'USDC', amount: '1', memo: 'mine now' };
    expect((await on.call(on.operator, 'POST', '/holds', other)).status).toBe(409);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '2.000000', 'escrow USDC': '1.000000' });
  });
});

describe('once', () => {
  test('the same key with the same content is the same transaction, with other content a 409', async () => {
    const first = await on.credit('7');
    expect((await on.credit('7')).body.id).toBe(first.body.id);
    expect((await on.credit('8')).status).toBe(409);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '7.000000' });
    expect(await on.eventsOf(on.renter)).toHaveLength(1);
    await on.openHold('7');
    const settled = await on.settle('1', 'hour 1');
    expect((await on.settle('1', 'hour 1')).body.id).toBe(settled.body.id);
    expect((await on.settle('2', 'hour 1')).status).toBe(409);
    expect((await on.settle('1', 'hour 2')).body.id).not.toBe(settled.body.id);
  });

  test('what moves money asks for a key', async () => {
    const { status, body } = await on.call(on.operator, 'POST', '/credits', on.creditBody());
    expect([status, body.detail]).toEqual([400, expect.stringMatching('Idempotency-Key')]);
  });
});

describe('a reversal', () => {
  test('takes a credit back, once, and both are in the statement', async () => {
    const { id } = (await on.credit()).body;
    const made = await on.reverse(id);
    expect(made).toMatchObject({ status: 201, body: { kind: 'reversal', reverses: id } });
    expect((await on.reverse(id)).body.id).toBe(made.body.id);
    expect((await on.reverse(id, 'another reason')).status).toBe(409);
    expect((await on.reverse(made.body.id)).status).toBe(409);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '0.000000' });
    const statement = (await on.call(on.renter, 'GET', '/transactions')).body.items;
    expect(statement.map(({ kind, reversedBy }: Record<string, unknown>) => [kind, reversedBy])).toEqual([
      ['reversal', null],
      ['credit', made.body.id],
    ]);
    expect((await on.eventsOf(on.renter)).at(-1)).toMatchObject({
      reason: 'LedgerReversed',
      message: expect.stringMatching('a mistake'),
    });
  });

  test('of a settlement whose hold is closed goes to what the renter can spend', async () => {
    await on.credit();
    await on.openHold('10');
    const { id } = (await on.settle('1', 'hour 1')).body;
    await on.closeHold();
    expect((await on.reverse(id)).status).toBe(201);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '100.000000' });
    expect(await on.balances(on.supplier)).toEqual({ 'earnings IO': '0.00000000' });
  });

  test('of a hold that nothing was paid from gives all back; repeated after its end it is the same one', async () => {
    await on.credit();
    await on.openHold('10');
    const { id } = (await on.call(on.renter, 'GET', '/transactions?limit=1')).body.items[0];
    const made = (await on.reverse(id)).body;
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '100.000000', 'escrow USDC': '0.000000' });
    await on.closeHold();
    expect((await on.reverse(id)).body.id).toBe(made.id);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '100.000000' });
  });

  test('of a hold that has gone back, or of what went back, is refused', async () => {
    await on.credit();
    await on.openHold('10');
    await on.closeHold();
    const [release, hold] = (await on.call(on.renter, 'GET', '/transactions?limit=2')).body.items;
    expect([(await on.reverse(release.id)).status, (await on.reverse(hold.id)).status]).toEqual([409, 409]);
    expect(await on.balances(on.renter)).toEqual({ 'available USDC': '100.000000' });
  });

  test('of what has been spent since is refused, and of a transaction that is not there not found', async () => {
    const { id } = (await on.credit()).body;
    await on.openHold('100');
    expect(await on.reverse(id)).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching('has been spent') },
    });
    expect((await on.reverse(999_999)).status).toBe(404);
  });
});
