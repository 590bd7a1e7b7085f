import { hasCode } from '../core/errors.ts';
import { clusterPartOf } from '../core/frontier.ts';
import { type Ledger } from '../grant/ledger.ts';
import { type WriteOp } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { isJoining, peerKey } from './peers.ts';
import { recordOp, writeUnless } from './peerWrites.ts';
import { type OwnCluster } from './ports.ts';
import { isRemoved } from './removal.ts';
import { partOf } from './words.ts';

/** Why what we may not write is not tried again before more is known of authority. */
const denied = ['right_denied', 'key_denied', 'grant_unknown', 'grant_revoked', 'grant_time'] as const;

export interface OwnRecordDeps {
  readonly own: OwnCluster;
  readonly replica: Pick<Replica, 'get' | 'candidates' | 'write'>;
  readonly ledger: Pick<Ledger, 'number'>;
  /** Whether we were removed, or take no part in the mesh. */
  readonly isEnded: () => boolean;
}

/**
 * The record of ours in a granted mesh, which others write too: who joins writes that of its donor, and who adds a member that one's. It would end with the
 * grant of who wrote it, and we would be no member any more, without a word.
 */
export class OwnRecord {
  readonly #deps: OwnRecordDeps;
  /** As it was seen last. */
  #known: Uint8Array | undefined;
  /** What was known of authority when we were denied to write it. */
  #deniedAt = -1;

  constructor(deps: OwnRecordDeps) {
    this.#deps = deps;
  }

  /** Writes it as it is, under our own grant, where another wrote it; and as it was, where it went with its grant while we looked. */
  async claim(): Promise<void> {
    const { own, replica, isEnded } = this.#deps;
    const key = peerKey(own.clusterId);
    const { exists, value, version } = await replica.get(key);
    if (isEnded()) return;
    if (version === null) {
      const before = this.#known;
      if (before === undefined) return;
      // A record that somebody deleted has a tombstone, and stays away.
      if ((await replica.candidates(key)).length === 0) await this.#write(recordOp(key, before, { kind: 'absent' }));
      return;
    }
    const isOurs = exists && !isJoining(value) && !isRemoved(own.clusterId, value);
    this.#known = isOurs ? value : undefined;
    if (!isOurs || clusterPartOf(version) === partOf(own)) return;
    await this.#write(recordOp(key, value, { kind: 'version', version }));
  }

  async #write(op: WriteOp): Promise<void> {
    const { replica, ledger } = this.#deps;
    const { number } = ledger;
    if (number === this.#deniedAt) return;
    try {
      await writeUnless(op, replica);
    } catch (error) {
      if (!hasCode(error, ...denied)) throw error;
      this.#deniedAt = number;
    }
  }
}
