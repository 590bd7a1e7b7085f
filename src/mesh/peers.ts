import { z } from 'zod';
import { parseUuid, uuidText } from '../core/uuid.ts';
import { toHex } from '../core/bytes.ts';
import { hostPortText, parseHostPort, type HostPort } from '../core/hostPort.ts';
import { parseKey, prefixRange, type Key } from '../core/key.ts';
import { incarnationMax, limits } from '../core/limits.ts';
import { type Log } from '../core/ports.ts';
import { membersPrefix } from '../core/scope.ts';
import { type Removal } from '../replica/ended.ts';
import { type ListedEntry, type ListQuery, type ListResult } from '../replica/read.ts';

/** One member as the data describe it: @system/peers/<cluster id, a UUID> → JSON. */
export interface PeerRecord {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Of its mesh port. */
  readonly address: HostPort;
  /** Cluster ids that it pulls from; undefined: all. */
  readonly upstreams: readonly string[] | undefined;
  readonly regionName: string;
}

const removedSchema = z.looseObject({
  removed: z.string().min(1).max(100),
  incarnation: z.number().int().min(1).max(incarnationMax),
  settled: z.boolean().optional(),
});

const recordSchema = z.looseObject({
  address: z.string().max(300),
  upstreams: z.array(z.string().max(100)).max(limits.membersMax).optional(),
  regionName: z.string().max(100).optional(),
  joining: z.boolean().optional(),
});

/** The key of a member's record; `clusterId` is a UUID's 16 bytes. */
export function peerKey(clusterId: Uint8Array): Key {
  return parseKey(Buffer.concat([membersPrefix, Buffer.from(uuidText(clusterId))]));
}

/**
 * The value of the record of a member, or of one that is being filled to become one (`isJoining`). Fields of `before`, the value that it replaces, stay where we do not
 * know them, and so do upstreams.
 */
export function encodePeer(
  { address, regionName }: Pick<PeerRecord, 'address' | 'regionName'>,
  before: Uint8Array | undefined,
  isJoining: boolean,
): Uint8Array {
  const joining = isJoining ? true : undefined;
  return Buffer.from(JSON.stringify({ ...known(before), address: hostPortText(address), regionName, joining }));
}

/** True for the record of a cluster that is being filled. */
export function isJoining(value: Uint8Array): boolean {
  return known(value).joining === true;
}

/** The value of the record of a cluster that was removed. */
export function encodeRemoved({ removal, incarnation, settled }: Removal): Uint8Array {
  return Buffer.from(JSON.stringify({ removed: removal, incarnation, settled }));
}

/** Undefined for the record of a member. Errors: those of JSON and of the schema. */
export function parseRemoved(clusterId: Uint8Array, value: Uint8Array): Removal | undefined {
  const json: unknown = JSON.parse(Buffer.from(value).toString());
  if (typeof json !== 'object' || json === null || !('removed' in json)) return undefined;
  const { removed, incarnation, settled = false } = removedSchema.parse(json);
  return { clusterId, incarnation, removal: removed, settled };
}

function known(value: Uint8Array | undefined): { readonly joining?: boolean | undefined } {
  if (value === undefined) return {};
  try {
    return recordSchema.parse(JSON.parse(Buffer.from(value).toString()));
  } catch {
    return {}; // a record that cannot be read is replaced
  }
}

/** What the data say of members, and what is known to be so of those that ended, whatever was written of them since. */
export function withEnded({ records, joining, unreadable, removed }: Members, ended: readonly Removal[]): Members {
  const said = new Set([...records, ...joining].map(({ clusterId }) => toHex(clusterId)).concat(unreadable));
  const again = ended.filter(({ clusterId }) => said.has(toHex(clusterId)));
  const gone = new Set(again.map(({ clusterId }) => toHex(clusterId)));
  const isThere = ({ clusterId }: PeerRecord): boolean => !gone.has(toHex(clusterId));
  return {
    records: records.filter(isThere),
    joining: joining.filter(isThere),
    unreadable: unreadable.filter((name) => !gone.has(name)),
    removed: [...removed, ...again],
  };
}

/** What the data say of members. */
export interface Members {
  readonly records: readonly PeerRecord[];
  /** Clusters that are being filled: no members yet, for whom the floor waits. */
  readonly joining: readonly PeerRecord[];
  /** Cluster ids, in hex, of those whose records cannot be read: members all the same, of whom only that is known. */
  readonly unreadable: readonly string[];
  readonly removed: readonly Removal[];
}

/** The members that the data name. A record that cannot be read is left out of the records, with a warning. */
export class Peers {
  readonly #list: (query: ListQuery) => Promise<ListResult>;
  readonly #log: Log;
  /** Of records that were warned of, key and version. */
  readonly #warned = new Set<string>();

  constructor(list: (query: ListQuery) => Promise<ListResult>, log: Log) {
    this.#list = list;
    this.#log = log;
  }

  async read(): Promise<Members> {
    const records: PeerRecord[] = [];
    const joining: PeerRecord[] = [];
    const unreadable: string[] = [];
    const removed: Removal[] = [];
    for (const entry of await this.#entries()) {
      const name = Buffer.from(entry.key.subarray(membersPrefix.length)).toString();
      const clusterId = parseUuid(name);
      try {
        if (clusterId === undefined) throw new Error('its key does not end in a UUID');
        const ended = parseRemoved(clusterId, entry.value);
        if (ended === undefined) (isJoining(entry.value) ? joining : records).push(parseRecord(clusterId, entry.value));
        else removed.push(ended);
      } catch (error) {
        this.#warn(entry, name, error);
        if (clusterId !== undefined) unreadable.push(toHex(clusterId));
      }
    }
    return { records, joining, unreadable, removed };
  }

  /** A list ends early where it is large: all of its pages, up to as many as there may be members. */
  async #entries(): Promise<ListedEntry[]> {
    const { start, end } = prefixRange(membersPrefix);
    const found: ListedEntry[] = [];
    for (let from: Uint8Array | null = start; from !== null && found.length < limits.membersMax;) {
      const limit = limits.membersMax - found.length;
      const { entries, next }: ListResult = await this.#list({ range: { start: from, end }, limit, order: 'forward', values: 'with' });
      found.push(...entries);
      from = next;
    }
    return found;
  }

  #warn(entry: ListedEntry, clusterId: string, error: unknown): void {
    const name = toHex(entry.key) + toHex(entry.version);
    if (this.#warned.has(name)) return;
    if (this.#warned.size >= limits.membersMax) this.#warned.clear();
    this.#warned.add(name);
    this.#log.warn({ clusterId: clusterId.slice(0, 100), err: error }, 'a record of a peer cannot be read and is left out');
  }
}

function parseRecord(clusterId: Uint8Array, value: Uint8Array): PeerRecord {
  const { address, upstreams, regionName } = recordSchema.parse(JSON.parse(Buffer.from(value).toString()));
  const parsed = parseHostPort(address);
  if (parsed === undefined || parsed.port === 0) throw new Error(`${JSON.stringify(address)} is no HOST:PORT`);
  return { clusterId, address: parsed, upstreams, regionName: regionName ?? '' };
}
