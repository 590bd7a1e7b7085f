import { z } from 'zod';
import { parseUuid } from '../core/uuid.ts';
import { toHex } from '../core/bytes.ts';
import { parseHostPort, type HostPort } from '../core/hostPort.ts';
import { prefixRange } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Log } from '../core/ports.ts';
import { type ListedEntry, type ListQuery, type ListResult } from '../replica/read.ts';

/** Where the mesh's members are described, as data: @system/peers/<cluster id, a UUID> → JSON. */
export const peersPrefix = Buffer.from('@system/peers/');

/** One member as the data describe it. */
export interface PeerRecord {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Of its mesh port. */
  readonly address: HostPort;
  /** Cluster ids that it pulls from; undefined: all. */
  readonly upstreams: readonly string[] | undefined;
  readonly regionName: string;
}

const recordSchema = z.looseObject({
  address: z.string().max(300),
  upstreams: z.array(z.string().max(100)).max(limits.membersMax).optional(),
  regionName: z.string().max(100).optional(),
});

/** The members that the data name. A record that cannot be read is left out, with a warning. */
export class Peers {
  readonly #list: (query: ListQuery) => Promise<ListResult>;
  readonly #log: Log;
  /** Of records that were warned of, key and version. */
  readonly #warned = new Set<string>();

  constructor(list: (query: ListQuery) => Promise<ListResult>, log: Log) {
    this.#list = list;
    this.#log = log;
  }

  async read(): Promise<PeerRecord[]> {
    const range = prefixRange(peersPrefix);
    const { entries } = await this.#list({ range, limit: limits.membersMax, order: 'forward', values: 'with' });
    return entries.flatMap((entry) => this.#parse(entry));
  }

  #parse(entry: ListedEntry): PeerRecord[] {
    const name = Buffer.from(entry.key.subarray(peersPrefix.length)).toString();
    try {
      const clusterId = parseUuid(name);
      if (clusterId === undefined) throw new Error('its key does not end in a UUID');
      const { address, upstreams, regionName } = recordSchema.parse(JSON.parse(Buffer.from(entry.value).toString()));
      const parsed = parseHostPort(address);
      if (parsed === undefined || parsed.port === 0) throw new Error(`${JSON.stringify(address)} is no HOST:PORT`);
      return [{ clusterId, address: parsed, upstreams, regionName: regionName ?? '' }];
    } catch (error) {
      this.#warn(entry, name, error);
      return [];
    }
  }

  #warn(entry: ListedEntry, clusterId: string, error: unknown): void {
    const name = toHex(entry.key) + toHex(entry.version);
    if (this.#warned.has(name)) return;
    if (this.#warned.size >= limits.membersMax) this.#warned.clear();
    this.#warned.add(name);
    this.#log.warn({ clusterId: clusterId.slice(0, 100), err: error }, 'a record of a peer cannot be read and is left out');
  }
}
