import { equalBytes, toHex } from '../core/bytes.ts';
import { type OwnCluster } from './ports.ts';
import { epochNone, epochOf } from './epoch.ts';
import { type Members, type PeerRecord, type Peers, type RemovedRecord } from './peers.ts';

/** The members that the data name, as they were read last. Cluster ids are in hex. */
export class Roster {
  readonly #own: string;
  readonly #peers: Peers;
  readonly #end: (clusterIds: readonly Uint8Array[]) => Promise<void>;
  readonly #ended = new Set<string>();
  /** Undefined until they were read. */
  #members: Members | undefined;
  #epoch: Uint8Array = epochNone;
  #epochEnds = new AbortController();

  /** `end` has nothing taken in any more of these clusters, for good. */
  constructor(own: OwnCluster, peers: Peers, end: (clusterIds: readonly Uint8Array[]) => Promise<void>) {
    this.#own = toHex(own.clusterId);
    this.#peers = peers;
    this.#end = end;
  }

  /** What is told of an epoch is true then: of those that were removed nothing is taken in any more when it is adopted. */
  async read(): Promise<void> {
    const members = await this.#peers.read();
    const removed = members.removed.filter(({ clusterId }) => !this.#ended.has(toHex(clusterId)));
    if (removed.length > 0) await this.#end(removed.map(({ clusterId }) => clusterId));
    for (const { clusterId } of removed) this.#ended.add(toHex(clusterId));
    const epoch = epochOf(members);
    const isAnother = !equalBytes(epoch, this.#epoch);
    this.#epoch = epoch;
    this.#members = members;
    if (!isAnother) return;
    this.#epochEnds.abort();
    this.#epochEnds = new AbortController();
  }

  /** 8 bytes; all zero until the members were read. */
  get epoch(): Uint8Array {
    return this.#epoch;
  }

  /** Aborts when the epoch is another one. */
  get epochEnds(): AbortSignal {
    return this.#epochEnds.signal;
  }

  removed(): readonly RemovedRecord[] {
    return this.#members?.removed ?? [];
  }

  isRemoved(name: string): boolean {
    return this.removed().some(({ clusterId }) => toHex(clusterId) === name);
  }

  /** All whose records can be read, us among them. */
  records(): readonly PeerRecord[] {
    return this.#members?.records ?? [];
  }

  /** Those that are being filled: no members yet. */
  joining(): readonly PeerRecord[] {
    return this.#members?.joining ?? [];
  }

  /** Members whose records cannot be read. */
  unreadable(): readonly string[] {
    return this.#members?.unreadable ?? [];
  }

  /** Records of members that are not us. */
  others(): PeerRecord[] {
    return this.records().filter(({ clusterId }) => toHex(clusterId) !== this.#own);
  }

  /** All members that are not us; undefined until they were read. */
  otherNames(): string[] | undefined {
    if (this.#members === undefined) return undefined;
    const names = [...this.records().map(({ clusterId }) => toHex(clusterId)), ...this.unreadable()];
    return names.filter((name) => name !== this.#own);
  }

  /** Those that we pull from: all, unless our own record names some. */
  upstreams(): PeerRecord[] {
    const own = this.records().find(({ clusterId }) => toHex(clusterId) === this.#own);
    const named = own?.upstreams?.map((name) => name.replaceAll('-', ''));
    return this.others().filter(({ clusterId }) => named === undefined || named.includes(toHex(clusterId)));
  }

  /** True for a member whose record names no upstreams: it pulls from all. */
  pullsFromAll(name: string): boolean {
    return this.records().some(({ clusterId, upstreams }) => toHex(clusterId) === name && upstreams === undefined);
  }

  /** True for a member whose record can be read. */
  isMember(name: string): boolean {
    return this.records().some(({ clusterId }) => toHex(clusterId) === name);
  }

  /** True for a member, whether its record can be read or not. */
  isNamed(name: string): boolean {
    return this.isMember(name) || this.unreadable().includes(name);
  }
}
