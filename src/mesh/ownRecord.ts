import { equalBytes } from '../core/bytes.ts';
import { hasCode } from '../core/errors.ts';
import { clusterPartOf } from '../core/frontier.ts';
import { type Stamp } from '../core/stamp.ts';
import { type Replica } from '../replica/replica.ts';
import { isJoining, peerKey } from './peers.ts';
import { recordOp, writeUnless } from './peerWrites.ts';
import { type OwnCluster } from './ports.ts';
import { isRemoved } from './removal.ts';
import { partOf } from './words.ts';

/** Why what we may not write is not tried again, as long as it is what somebody else wrote. */
const denied = ['right_denied', 'key_denied', 'grant_unknown', 'grant_revoked', 'grant_time'] as const;

/**
 * The record of ours in a granted mesh, which others write too: who joins writes that of its donor, and who adds a member that one's. It would end with the
 * grant of who wrote it, and we would be no member any more, without a word.
 */
export class OwnRecord {
  readonly #own: OwnCluster;
  readonly #replica: Pick<Replica, 'get' | 'write'>;
  /** Of a record that we may not write. */
  #leftAt: Stamp | undefined;

  constructor(own: OwnCluster, replica: Pick<Replica, 'get' | 'write'>) {
    this.#own = own;
    this.#replica = replica;
  }

  /** Writes it as it is, under our own grant, where another wrote it. */
  async claim(): Promise<void> {
    const { clusterId } = this.#own;
    const key = peerKey(clusterId);
    const { exists, value, version } = await this.#replica.get(key);
    if (!exists || version === null || isJoining(value) || isRemoved(clusterId, value)) return;
    if (clusterPartOf(version) === partOf(this.#own) || (this.#leftAt !== undefined && equalBytes(version, this.#leftAt))) return;
    try {
      await writeUnless(recordOp(key, value, { kind: 'version', version }), this.#replica);
    } catch (error) {
      if (!hasCode(error, ...denied)) throw error;
      this.#leftAt = version;
    }
  }
}
