import { isSystemKey } from '../cluster/operator.ts';
import { allKeys } from '../../../src/core/key.ts';
import { hasCode } from '../../../src/core/errors.ts';
import { stampToHex } from '../../../src/core/stamp.ts';
import { type Front } from '../cluster/instance.ts';
import { type Host } from '../cluster/host.ts';
import { asBug } from '../cluster/log.ts';
import { acknowledgedNow, checkAcknowledged, checkRead } from '../oracle/answers.ts';
import { type Operation } from '../oracle/operations.ts';
import { type World } from '../world.ts';
import { nextAsk, writeOp, type Ask } from './asks.ts';
import { keyOf, nameOf } from './keys.ts';

const thinkMs = 800;
const answerMsMax = 15_000;
const listLimit = 1_000;
/** For lack of authority nothing is written, for good. */
const deniedCodes = ['grant_unknown', 'grant_revoked', 'right_denied', 'key_denied', 'grant_time'] as const;

/** What a client is bound to. */
interface Bound {
  /** Those that it may ask. */
  readonly hosts: () => readonly Host[];
  /** What it does as the operation of this id. */
  readonly ask: typeof nextAsk;
}

/** One client: does one thing after the other, at any instance that listens, until the operations of the run are used up. */
export class Client {
  readonly #world: World;
  readonly #name: string;
  readonly #bound: Bound;
  readonly #seen = new Map<string, string | null>();

  /** `bound`: left out, it asks anything of anybody. */
  constructor(world: World, name: string, bound: Bound = { hosts: () => world.hosts(), ask: nextAsk }) {
    this.#world = world;
    this.#bound = bound;
    this.#name = `client ${name}`;
  }

  async run(take: () => number | undefined): Promise<void> {
    const { kernel } = this.#world;
    const random = kernel.streams.of(this.#name);
    for (let id = take(); id !== undefined; id = take()) {
      await kernel.sleep(random.around(thinkMs), '');
      const ask = this.#bound.ask(id, this.#seen, random);
      const host = random.pick(this.#bound.hosts());
      const { front } = host;
      if (front === undefined) this.#world.counts.add('client: nobody listens');
      else await this.#perform(id, ask, host, front);
    }
  }

  /** Ends with the answer, with the end of the process that was asked, or with the client's patience. */
  #perform(id: number, ask: Ask, host: Host, front: Front): Promise<void> {
    const { kernel } = this.#world;
    return new Promise((resolve) => {
      const patience = kernel.after(answerMsMax, `${this.#name} gives up`, resolve);
      const end = (): void => {
        patience.cancel();
        resolve();
      };
      host.life.whenEnded(end);
      host.life.after(0.5, `operation ${id}, ${ask.kind}`, () => {
        this.#ask(id, ask, host, front).then(end, (error: unknown) => {
          kernel.fail(error);
        });
      });
    });
  }

  #ask(id: number, ask: Ask, host: Host, front: Front): Promise<void> {
    switch (ask.kind) {
      case 'write':
        return this.#write({ id, disk: host.region.disk, writes: ask.writes, outcome: 'pending', versions: [] }, host, front);
      case 'get':
        return this.#reading(host, [ask.key], async () => {
          const { value, version, exists } = await front.get(keyOf(ask.key));
          return [{ key: ask.key, value: Buffer.from(value).toString(), version: exists && version !== null ? stampToHex(version) : null }];
        });
      case 'list':
        return this.#reading(host, this.#world.ledger.keys(), async () => {
          const { entries } = await front.list({ range: allKeys, limit: listLimit, order: ask.order, values: 'with' });
          return entries
            .filter(({ key }) => !isSystemKey(nameOf(key)))
            .map(({ key, value, version }) => ({
              key: nameOf(key),
              value: Buffer.from(value).toString(),
              version: stampToHex(version),
            }));
        });
    }
  }

  async #write(operation: Operation, host: Host, front: Front): Promise<void> {
    const { ledger, commits, counts, kernel } = this.#world;
    ledger.asked(operation);
    try {
      const results = await front.write(operation.writes.map(writeOp));
      const versions = results.map(({ version }) => stampToHex(version));
      kernel.note(`operation ${operation.id} acknowledged at ${versions.join(' ')}`);
      counts.add('write: acknowledged');
      ledger.acknowledged(operation, versions);
      checkAcknowledged(commits.heads.history(host.region.index), ledger, operation, host.region.greatestWallMs);
      for (const [index, { key, kind }] of operation.writes.entries())
        this.#seen.set(key, kind === 'set' ? (versions[index] ?? null) : null);
    } catch (error) {
      const bug = asBug(error);
      if (bug !== undefined) throw bug;
      const isRefused = hasCode(error, 'version_mismatch', 'disk_full', ...deniedCodes);
      kernel.note(`operation ${operation.id} ${isRefused ? 'refused' : 'unknown'}: ${String(error)}`);
      counts.add(
        `write: ${hasCode(error, 'version_mismatch', 'disk_full', 'unavailable', 'transaction_too_old', 'store_conflict', ...deniedCodes) ? error.code : 'other'}`,
      );
      if (isRefused) ledger.refused(operation);
      else operation.outcome = 'unknown';
      if (hasCode(error, 'version_mismatch')) this.#learn(operation, error.details);
    }
  }

  /** A refusal tells which version was there. */
  #learn({ writes }: Operation, { index, version }: Readonly<Record<string, unknown>>): void {
    const write = typeof index === 'number' ? writes[index] : undefined;
    if (write !== undefined) this.#seen.set(write.key, typeof version === 'string' ? version : null);
  }

  /** Keys that the answer does not name were absent. */
  async #reading(
    host: Host,
    keys: Iterable<string>,
    read: () => Promise<readonly { key: string; value: string; version: string | null }[]>,
  ): Promise<void> {
    const { ledger, commits, counts } = this.#world;
    const region = host.region.index;
    const asked = [...keys];
    const leastOf = acknowledgedNow(ledger, host.region.disk, asked);
    const isRead = commits.heads.reading(region);
    try {
      const answers = new Map((await read()).map((answer) => [answer.key, answer]));
      for (const key of new Set([...asked, ...answers.keys()])) {
        const answer = answers.get(key) ?? { value: '', version: null };
        if (answer.version !== null) isRead(key, answer.version);
        checkRead(commits.heads.history(region), key, answer, { least: leastOf(key), wallMs: host.region.greatestWallMs });
        this.#seen.set(key, answer.version);
      }
      counts.add('read: answered');
    } catch (error) {
      const bug = asBug(error);
      if (bug !== undefined) throw bug;
      counts.add('read: failed');
    }
  }
}
