import { toHex } from '../../../src/core/bytes.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { type GivenGrant } from './law.ts';

/** A write that was signed, truly or not, by who is no cluster. */
export interface MadeWrite {
  readonly received: ReceivedWrite;
  readonly grant: GivenGrant;
  readonly name: string;
  readonly isForged: boolean;
}

/** All of them. A forged copy of a true one has its id, and is told by its signature. */
export class MadeWrites {
  readonly #all: MadeWrite[] = [];
  readonly #byId = new Map<string, MadeWrite>();

  add(made: MadeWrite): void {
    this.#all.push(made);
    const id = toHex(made.received.id);
    if (!this.#byId.has(id)) this.#byId.set(id, made);
  }

  /** By its id in hex. */
  of(id: string): MadeWrite | undefined {
    return this.#byId.get(id);
  }

  get all(): readonly MadeWrite[] {
    return this.#all;
  }
}
