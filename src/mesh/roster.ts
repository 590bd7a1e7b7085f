import { toHex } from '../core/bytes.ts';
import { type OwnCluster } from './ports.ts';
import { type Members, type PeerRecord, type Peers } from './peers.ts';

/** The members that the data name, as they were read last. Cluster ids are in hex. */
export class Roster {
  readonly #own: string;
  readonly #peers: Peers;
  /** Undefined until they were read. */
  #members: Members | undefined;

  constructor(own: OwnCluster, peers: Peers) {
    this.#own = toHex(own.clusterId);
    this.#peers = peers;
  }

  async read(): Promise<void> {
    this.#members = await this.#peers.read();
  }

  /** All whose records can be read, us among them. */
  records(): readonly PeerRecord[] {
    return this.#members?.records ?? [];
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

  /** True for a member whose record can be read. */
  isMember(name: string): boolean {
    return this.records().some(({ clusterId }) => toHex(clusterId) === name);
  }

  /** True for a member, whether its record can be read or not. */
  isNamed(name: string): boolean {
    return this.isMember(name) || this.unreadable().includes(name);
  }
}
