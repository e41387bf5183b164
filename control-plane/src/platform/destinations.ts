/** Where a tenant may have the control plane connect to: to public addresses, and to such networks as the operator names. */
import { lookup as lookUpName } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * What is no address of a host on the Internet: the special-purpose registries of IANA (RFC 6890 and its updates), and
 * the ranges by which IPv6 reaches IPv4, through which a private one could be named. Those that are mapped (`::ffff:…`) are
 * read as what they stand for.
 */
const special = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
  ...['::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16'],
  ...['3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
];

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix = ''] = network.split('/');
    list.addSubnet(address, Number(prefix), familyOf(address));
  }
  return list;
}
const specials = listOf(special);

/** `::ffff:10.0.0.1` is 10.0.0.1, however it is written. */
function plainAddress(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (isIP(bare) !== 6) return bare;
  const canonical = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical);
  if (!mapped) return canonical;
  const [high = 0, low = 0] = mapped.slice(1).map(part => Number.parseInt(part, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** Says what is wrong with a destination; its words are shown to the tenant. */
export class RefusedAddress extends Error {}

export class Destinations {
  readonly #allowed: BlockList;
  readonly anyAllowed: boolean;

  /** `networks`: CIDR, beyond what is public; `variable`: where the operator names them. */
  constructor(
    networks: readonly string[],
    readonly variable: string,
  ) {
    this.#allowed = listOf(networks);
    this.anyAllowed = networks.length > 0;
  }

  isAllowed(address: string): boolean {
    const plain = plainAddress(address);
    return this.#allowed.check(plain, familyOf(plain));
  }

  isPublic(address: string): boolean {
    const plain = plainAddress(address);
    return isIP(plain) !== 0 && !specials.check(plain, familyOf(plain));
  }

  /** Throws RefusedAddress. Without TLS only into networks that the operator has named. */
  demand(address: string, isTls: boolean): void {
    if (this.isAllowed(address) || (isTls && this.isPublic(address))) return;
    throw new RefusedAddress(
      this.isPublic(address)
        ? 'without TLS nothing is sent over the Internet: use https'
        : `the address is not one of the Internet; the operator can allow its network (${this.variable})`,
    );
  }

  /** What can be said before any name is looked up. Throws RefusedAddress. */
  demandUrl(url: URL): void {
    if (url.username || url.password) throw new RefusedAddress('an address holds no user or password');
    const host = hostOf(url);
    if (isIP(host)) this.demand(host, url.protocol === 'https:');
    else if (url.protocol !== 'https:' && !this.anyAllowed) throw new RefusedAddress('use https');
  }

  /** For a connection: the name is looked up once, and it is to what was checked that the connection is made. */
  lookup(isTls: boolean): LookupFunction {
    return (host, options, done) => {
      lookUpName(host, { ...options, all: true }, (error, addresses) => {
        if (error) return done(error, '', 0);
        try {
          for (const { address } of addresses) this.demand(address, isTls);
        } catch (refused) {
          return done(refused as Error, '', 0);
        }
        if (options.all) return done(null, addresses);
        const [first] = addresses;
        return done(null, first?.address ?? '', first?.family ?? 0);
      });
    };
  }
}

export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1');
