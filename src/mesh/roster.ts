import { equalBytes, toHex } from '../core/bytes.ts';
import { type Removal } from '../replica/ended.ts';
import { type Replica } from '../replica/replica.ts';
import { type OwnCluster } from './ports.ts';
import { epochNone, epochOf } from './epoch.ts';
import { withEnded, type Members, type PeerRecord, type Peers } from './peers.ts';

/** The members that the data name, as they were read last. Cluster ids are in hex. */
export class Roster {
  readonly #own: string;
  readonly #peers: Pick<Peers, 'read'>;
  readonly #replica: Pick<Replica, 'end' | 'ended'>;
  /** Whose end is noted, and whether as settled. */
  readonly #ended = new Map<string, boolean>();
  /** Undefined until they were read. */
  #members: Members | undefined;
  #overwritten: readonly Removal[] = [];
  #epoch: Uint8Array = epochNone;
  #epochEnds = new AbortController();
  #readsBegun = 0;
  /** Which of the reads the members are of. */
  #readTaken = 0;

  constructor(own: OwnCluster, peers: Pick<Peers, 'read'>, replica: Pick<Replica, 'end' | 'ended'>) {
    this.#own = toHex(own.clusterId);
    this.#peers = peers;
    this.#replica = replica;
  }

  /**
   * The members are then as they were when this was called, or later. What is told of an epoch is true then: of those that were removed nothing is taken in any more when it is
   * adopted.
   */
  async read(): Promise<void> {
    this.#readsBegun += 1;
    const number = this.#readsBegun;
    const [said, ended] = [await this.#peers.read(), await this.#replica.ended()];
    const members = withEnded(said, ended);
    const isNoted = ({ clusterId, settled }: Removal): boolean => {
      const noted = this.#ended.get(toHex(clusterId));
      return noted !== undefined && (noted || !settled);
    };
    const removed = members.removed.filter((record) => !isNoted(record));
    if (removed.length > 0) await this.#replica.end(removed);
    for (const { clusterId, settled } of removed) this.#ended.set(toHex(clusterId), settled);
    if (number < this.#readTaken) return; // one that began later has ended
    this.#readTaken = number;
    this.#overwritten = members.removed.filter((record) => !said.removed.includes(record));
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

  removed(): readonly Removal[] {
    return this.#members?.removed ?? [];
  }

  /** Removed ones of which the data say that they are members: somebody wrote that who had not heard of it. */
  overwritten(): readonly Removal[] {
    return this.#overwritten;
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

  isOwn(clusterId: Uint8Array): boolean {
    return toHex(clusterId) === this.#own;
  }

  /** Records of members that are not us. */
  others(): PeerRecord[] {
    return this.records().filter(({ clusterId }) => !this.isOwn(clusterId));
  }

  /** All members that are not us; undefined until they were read. */
  otherNames(): string[] | undefined {
    if (this.#members === undefined) return undefined;
    const names = [...this.records().map(({ clusterId }) => toHex(clusterId)), ...this.unreadable()];
    return names.filter((name) => name !== this.#own);
  }

  /** Those that we pull from: all, unless our own record names some. */
  upstreams(): PeerRecord[] {
    const own = this.records().find(({ clusterId }) => this.isOwn(clusterId));
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
