/** Settlement on a chain of ours: PostgreSQL, two mints, a funded fee payer, tenants. */
import { randomBytes } from 'node:crypto';
import { type Asset, newId, type PayoutId, parseUnits, type TenantId } from '@iocloud/contracts';
import { address, type KeyPairSigner } from '@solana/kit';
import { AuthorityType, getSetAuthorityInstruction } from '@solana-program/token';
import { operatorTenants } from '../../accounts/index.js';
import { available, earnings, moved, ofNetwork } from '../../core/billing/index.js';
import { checkLedger } from '../../ledger/check.js';
import { post } from '../../ledger/post.js';
import { listAccounts } from '../../ledger/statement.js';
import { createLogger, Database } from '../../platform/index.js';
import { type Ground, newTenantKey, startGround, type TestKey } from '../../test-ground.js';
import { tokenAccountOf } from '../chain/build.js';
import { Chain } from '../chain/rpc.js';
import { bindIdentity, depositAddress } from '../identity.js';
import { insertPayout } from '../payout-store.js';
import { seedSigner } from '../signer.js';
import { parseTerms, type SettledAsset, type Terms } from '../terms.js';
import { settlementTurn } from '../turn.js';
import type { World } from '../world.js';
import { SvmRpc } from './svm-rpc.js';
import { type Token, TokenIssuer } from './token-issuer.js';

export class SettlementGround {
  operator!: TestKey;
  private constructor(
    readonly ground: Ground,
    readonly rpc: SvmRpc,
    readonly issuer: TokenIssuer,
    readonly tokens: Record<SettledAsset, Token>,
    readonly terms: Terms,
    readonly world: World,
  ) {}

  static async start(settings: Record<string, unknown> = {}): Promise<SettlementGround> {
    const rpc = await SvmRpc.start();
    const ground = await startGround();
    try {
      return await SettlementGround.#on(ground, rpc, settings);
    } catch (error) {
      await Promise.all([rpc.stop(), ground.stop()]);
      throw error;
    }
  }

  static async #on(ground: Ground, rpc: SvmRpc, settings: Record<string, unknown>): Promise<SettlementGround> {
    const issuer = await TokenIssuer.on(rpc);
    const tokens = { IO: await issuer.mint(8), USDC: await issuer.mint(6) };
    const mints = { IO: tokens.IO.mint, USDC: tokens.USDC.mint };
    const terms = parseTerms(JSON.stringify({ addressWaitSeconds: 0, ...settings, mints }));
    const signer = seedSigner(randomBytes(32));
    const world: World = {
      ...{ database: ground.database, chain: new Chain(rpc.url), signer, terms, log: createLogger('error') },
      ...{ random: randomBytes, operators: operatorTenants },
      ...(await bindIdentity(ground.database, signer, terms)),
    };
    rpc.chain.fund(world.feePayer, 10_000_000_000n);
    const made = new SettlementGround(ground, rpc, issuer, tokens, terms, world);
    made.operator = await newTenantKey(ground.database, { role: 'operator' });
    return made;
  }

  async stop(): Promise<void> {
    await this.rpc.stop();
    await this.ground.stop();
  }

  turn = (world = this.world): Promise<boolean> => settlementTurn(world);

  /** Enough of them for all that is under way to end. */
  async turns(count = 3): Promise<void> {
    for (let turn = 0; turn < count; turn++) await this.turn();
  }

  depositAddress = (tenantId: TenantId): Promise<string> =>
    this.ground.database.transaction(tx => depositAddress(tx, this.world.signer, this.terms, tenantId));

  /** As if it had been earned: out of what the network owes. */
  async earn(tenantId: TenantId, amount: bigint): Promise<void> {
    await this.#give(moved(ofNetwork('exchange', 'IO'), earnings(tenantId), amount));
  }

  async credit(tenantId: TenantId, asset: Asset, amount: bigint): Promise<void> {
    await this.#give(moved(ofNetwork('deposits', asset), available(tenantId, asset), amount));
  }

  async #give(entries: ReturnType<typeof moved>): Promise<void> {
    const draft = { key: `given:${randomBytes(8).toString('hex')}`, kind: 'credit' as const, asked: [], memo: 'given' };
    await this.ground.database.transaction(tx => post(tx, [{ ...draft, detail: {}, actor: 'a test', entries }]));
  }

  /** A confirmed payout to an address, past the door. */
  async payout(tenantId: TenantId, amount: bigint, address: string, source: 'available' | 'earnings' = 'earnings') {
    const id: PayoutId = newId('payout', randomBytes);
    await this.ground.database.transaction(async tx => {
      const addressId = newId('payoutAddress', randomBytes);
      const { rows } = await tx.query<{ id: string }>(
        `INSERT INTO payout_addresses (id, tenant_id, address, label, added_by, usable_at) VALUES ($1, $2, $3, '', 'test', now())
         ON CONFLICT (tenant_id, address) WHERE removed_at IS NULL DO UPDATE SET label = '' RETURNING id`,
        [addressId, tenantId, address],
      );
      const terms = {
        id,
        tenantId,
        source,
        asset: 'IO' as const,
        amount,
        address,
        addressId: rows[0]?.id ?? addressId,
      };
      await insertPayout(tx, { ...terms, state: 'confirmed', requestedBy: 'test', scheduleKey: null });
    });
    return id;
  }

  async payoutState(id: string): Promise<{ state: string; reason: string; signature: string | null }> {
    const { rows } = await this.ground.database.query<{ state: string; reason: string; signature: string | null }>(
      `SELECT p.state, p.reason, c.signature FROM payouts p
       LEFT JOIN chain_transactions c ON c.id = p.chain_transaction_id WHERE p.id = $1`,
      [id],
    );
    return rows[0] ?? { state: 'none', reason: '', signature: null };
  }

  async states(): Promise<string[]> {
    const { rows } = await this.ground.database.query<{ state: string }>(
      'SELECT state FROM payouts ORDER BY requested_at, id',
    );
    return rows.map(({ state }) => state);
  }

  /** Account → units, those that hold any. */
  async books(): Promise<Record<string, bigint>> {
    const accounts = await listAccounts(this.ground.database, null, { limit: 1_000, closed: false });
    const held = accounts.map(({ kind, asset, tenantId, balance }) => {
      const units = (parseUnits(balance.replace('-', ''), asset) ?? 0n) * (balance.startsWith('-') ? -1n : 1n);
      return [[kind, asset, ...(tenantId === null ? [] : [tenantId])].join(':'), units] as const;
    });
    return Object.fromEntries(held.filter(([, units]) => units !== 0n));
  }

  ledgerIsClean = async (): Promise<boolean> => (await checkLedger(this.ground.database)).clean;

  async reasons({ tenantId }: Pick<TestKey, 'tenantId'>): Promise<string[]> {
    const { rows } = await this.ground.database.query<{ reason: string }>(
      'SELECT reason FROM events WHERE tenant_id = $1 ORDER BY sequence',
      [tenantId],
    );
    return rows.map(({ reason }) => reason);
  }

  async problems(): Promise<string[]> {
    const { rows } = await this.ground.database.query<{ problems: string[] }>('SELECT problems FROM settlement_turns');
    return rows[0]?.problems ?? [];
  }

  /** Its owner hands its associated account to another: such an account takes no transfer to its owner any more. */
  async giveAway({ mint }: Token, owner: KeyPairSigner): Promise<void> {
    const owned = address(await tokenAccountOf(owner.address, mint));
    await this.issuer.send([
      getSetAuthorityInstruction({
        ...{ owned, owner, authorityType: AuthorityType.AccountOwner, newAuthority: this.issuer.signer.address },
      }),
    ]);
  }

  /** Only a fault or a theft looks like it. */
  steal(token: Token, amount: bigint): Promise<void> {
    return this.issuer.forge(token, this.world.treasury, -amount);
  }

  newTenant = (): Promise<TestKey> => newTenantKey(this.ground.database);

  /** The same database behind a pool of its own. */
  otherDatabase = (): Database => new Database(this.ground.postgres.url, this.ground.log, 4);
}
