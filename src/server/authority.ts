import { toHex } from '../core/bytes.ts';
import { type Log } from '../core/ports.ts';
import { nativeSignatures, type Signatures, type SigningKey } from '../crypto/ed25519.ts';
import { type AnyRecord } from '../grant/anyRecord.ts';
import { isFinal } from '../grant/known.ts';
import { Ledger } from '../grant/ledger.ts';
import { Guard } from '../replica/guard.ts';
import { type Job } from '../replica/jobs.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { type GrantedStart, type RecordNews } from './config.ts';

/** Between two looks at what operators and other instances have added. */
const lookMs = 2_000;

/** What one instance of a granted mesh knows of its authority: from its store, and from the directory that it was started with. */
export class StoreAuthority {
  readonly ledger: Ledger;
  readonly guard: Guard;
  /** The cluster's key. */
  readonly signer: SigningKey;
  readonly signatures: Signatures;
  readonly #news: () => Promise<RecordNews>;
  readonly #log: Log;
  /** Records of the directory that wait for others. */
  #waiting: readonly AnyRecord[] = [];
  #toldPassedOver = 0;

  private constructor(ledger: Ledger, { signer, news }: Omit<GrantedStart, 'meshKey'>, signatures: Signatures, log: Log) {
    this.ledger = ledger;
    this.guard = new Guard(ledger, signatures, signer);
    this.signer = signer;
    this.signatures = signatures;
    this.#news = news;
    this.#log = log;
  }

  /** With all that the directory holds. Errors: those of its files, and of the ledger. */
  static async open(
    store: Store,
    granted: Omit<GrantedStart, 'meshKey'>,
    log: Log,
    signatures: Signatures = nativeSignatures(),
  ): Promise<StoreAuthority> {
    const ledger = await Ledger.open(store, granted.meshId, signatures);
    const authority = new StoreAuthority(ledger, granted, signatures, log);
    const { records, wrong } = await granted.news();
    if (wrong[0] !== undefined) throw wrong[0];
    await authority.#take(records);
    return authority;
  }

  jobs(replica: Pick<Replica, 'settleAuthority'>): Job[] {
    return [
      { name: 'records', runsOn: 'each', pauseMs: () => lookMs, work: () => this.#readDirectory() },
      {
        name: 'authority',
        runsOn: 'one',
        pauseMs: () => lookMs,
        work: async (_store, signal) => {
          const { judged, swept, givenUp } = await replica.settleAuthority(signal);
          for (const [peer, writes] of givenUp)
            this.#log.error(
              { peer, writes },
              'writes whose grants nobody supplied were given up: nothing of that cluster is joined until an exchange is through',
            );
          if (judged + swept > 0)
            this.#log.info({ judged, swept }, 'authority has changed: writes were judged, and keys lost what lost it');
        },
      },
    ];
  }

  /** A file that is wrong keeps nothing else back. */
  async #readDirectory(): Promise<void> {
    const { records, wrong } = await this.#news();
    for (const error of wrong)
      this.#log.warn({ err: error }, 'a file of the mesh directory is wrong, and counts for nothing until it is mended');
    await this.#take(records);
  }

  /** An operator's revocation counts from here on, and goes to every region. */
  async #take(records: readonly AnyRecord[]): Promise<void> {
    this.#waiting = [...this.#waiting, ...records]; // they are read once: nothing of them is lost where they cannot be taken in now
    const refused = await this.ledger.takeAll(this.#waiting, 'ours');
    this.#waiting = refused.filter(({ refusal }) => !isFinal(refusal)).map(({ any }) => any);
    for (const { any, refusal } of refused) {
      if (isFinal(refusal))
        this.#log.warn({ record: toHex(any.record.id), kind: any.kind, code: refusal.code }, 'a record of the mesh directory is refused');
    }
    await this.ledger.refresh();
    const { passedOver } = this.ledger;
    if (passedOver > this.#toldPassedOver)
      this.#log.error(
        { passedOver },
        'there is no room for grants: who gave too many should be revoked; what is written under those waits, and holds up who sends it',
      );
    this.#toldPassedOver = passedOver;
  }
}
