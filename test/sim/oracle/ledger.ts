import { Violation } from '../kernel/kernel.ts';
import { type Seen } from './history.ts';
import { type AcknowledgedWrite, type AskedWrite, type Operation } from './operations.ts';

/** What clients asked for and were told, and what of it was ever stored anywhere. */
export class Ledger {
  readonly operations: Operation[] = [];
  /** In the order of their answers. */
  readonly allAcknowledged: AcknowledgedWrite[] = [];
  readonly #byValue = new Map<string, { readonly operation: Operation; readonly write: AskedWrite }>();
  /** value → the one version that it was stored under. */
  readonly #versions = new Map<string, string>();
  readonly #tombstones = new Map<string, Set<string>>();
  readonly #acknowledged = new Map<string, AcknowledgedWrite[]>();
  readonly #hasEnded: (key: string, version: string) => boolean;

  /** `hasEnded`: whether a write that is stored has lost its authority. */
  constructor(hasEnded: (key: string, version: string) => boolean = () => false) {
    this.#hasEnded = hasEnded;
  }

  asked(operation: Operation): void {
    this.operations.push(operation);
    for (const write of operation.writes) if (write.kind === 'set') this.#byValue.set(write.value, { operation, write });
  }

  /** A commit has stored this state under the key. */
  stored(key: string, seen: Seen): void {
    if (seen.tombstone) {
      const versions = this.#tombstones.get(key) ?? new Set();
      this.#tombstones.set(key, versions.add(seen.version));
      return;
    }
    const asked = this.#byValue.get(seen.value);
    if (asked?.write.key !== key) throw new Violation('I1', `key ${key} holds a value that nobody set: ${seen.value.slice(0, 40)}`);
    if (asked.operation.outcome === 'refused') {
      throw new Violation('I1', `key ${key}: operation ${asked.operation.id} was refused, and is stored at ${seen.version}`);
    }
    const version = this.#versions.get(seen.value) ?? seen.version;
    this.#versions.set(seen.value, version);
    if (version !== seen.version) {
      throw new Violation('R8', `key ${key}: operation ${asked.operation.id} was minted twice, at ${version} and ${seen.version}`);
    }
  }

  acknowledged(operation: Operation, versions: readonly string[]): void {
    operation.outcome = 'acknowledged';
    operation.versions = versions;
    for (const [index, write] of operation.writes.entries()) {
      const version = versions[index];
      if (version === undefined) throw new Violation('R7', `operation ${operation.id} was answered with ${versions.length} results`);
      const earlier = this.of(write.key);
      const twin = earlier.find((other) => other.version === version);
      if (twin !== undefined) {
        throw new Violation('I8', `key ${write.key}: version ${version} was given to operations ${twin.operation.id} and ${operation.id}`);
      }
      const acknowledged = { ...write, version, operation, lost: this.#hasEnded(write.key, version) };
      this.#acknowledged.set(write.key, [...earlier, acknowledged]);
      this.allAcknowledged.push(acknowledged);
    }
  }

  /** Nothing of it was stored, and nothing of it may ever be. */
  refused(operation: Operation): void {
    operation.outcome = 'refused';
    for (const { key, value } of operation.writes) {
      const version = this.#versions.get(value);
      if (version !== undefined) {
        throw new Violation('I1', `key ${key}: operation ${operation.id} is refused, and was stored at ${version}`);
      }
    }
  }

  /** A disk is gone: what was acknowledged, and no cluster holds or has in a greater one, need not be anywhere any more. */
  diskLost(isSomewhere: (key: string, version: string) => boolean): number {
    return this.lose(({ key, version }) => !isSomewhere(key, version));
  }

  /** What was made since ends some grants: what was written under them need not be anywhere any more. */
  ended(): void {
    this.lose(({ key, version }) => this.#hasEnded(key, version));
  }

  lose(isLost: (write: AcknowledgedWrite) => boolean): number {
    let lost = 0;
    for (const write of this.allAcknowledged) {
      if (write.lost || !isLost(write)) continue;
      write.lost = true;
      lost += 1;
    }
    return lost;
  }

  /** Acknowledged writes of a key, in the order of their answers. */
  of(key: string): readonly AcknowledgedWrite[] {
    return this.#acknowledged.get(key) ?? [];
  }

  /** Whether a delete may have come between these versions that was never seen by itself. */
  mayHaveDeleted(key: string, after: string, before: string): boolean {
    const isBetween = ({ kind, version }: AcknowledgedWrite): boolean => kind === 'delete' && version > after && version < before;
    return this.of(key).some(isBetween) || this.#unknownDeletes(key) > 0;
  }

  keys(): IterableIterator<string> {
    return this.#acknowledged.keys();
  }

  /** More tombstones than deletes: some delete was minted twice, or nobody asked for it. */
  checkTombstones(): void {
    for (const [key, versions] of this.#tombstones) {
      const known = this.of(key).filter(({ kind, version }) => kind === 'delete' && versions.has(version)).length;
      const unknown = this.#unknownDeletes(key);
      if (versions.size > known + unknown) {
        throw new Violation('R8', `key ${key} had ${versions.size} tombstones: ${known} deletes are acknowledged, ${unknown} unknown`);
      }
    }
  }

  #unknownDeletes(key: string): number {
    return this.operations.filter(
      ({ outcome, writes }) =>
        (outcome === 'unknown' || outcome === 'pending') && writes.some((write) => write.kind === 'delete' && write.key === key),
    ).length;
  }
}
