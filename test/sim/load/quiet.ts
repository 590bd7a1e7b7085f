import { type Region } from '../cluster/region.ts';
import { type AskedWrite } from '../oracle/operations.ts';
import { type World } from '../world.ts';
import { Client } from './client.ts';
import { pickName } from './keys.ts';

const keys = 12;
const clients = 4;

/** Keys that are set once and deleted once, as most are: nothing hides it later where a delete of one is lost. */
export class QuietKeys {
  readonly #world: World;
  readonly #name: string;
  readonly #keys: readonly string[];

  constructor(world: World) {
    this.#world = world;
    this.#name = `quiet ${world.nextOperation()}`;
    const random = world.kernel.streams.of(this.#name);
    this.#keys = Array.from({ length: keys }, (_, number) => `${pickName(random)}.${this.#name.slice('quiet '.length)}.${number}`);
  }

  set(at: Region): Promise<void> {
    return this.#write(at, (id, key) => ({ key, kind: 'set', value: `${id}:`, expiresInMs: undefined, expected: undefined }));
  }

  delete(at: Region): Promise<void> {
    return this.#write(at, (_id, key) => ({ key, kind: 'delete', value: '', expiresInMs: undefined, expected: undefined }));
  }

  async #write(at: Region, writeOf: (id: number, key: string) => AskedWrite): Promise<void> {
    const left = [...this.#keys];
    const world = this.#world;
    let taken = 0;
    const take = (): number | undefined => (taken++ < keys && !world.isHealing ? world.nextOperation() : undefined);
    const ask = (id: number) => ({ kind: 'write', writes: [writeOf(id, left.shift() ?? '')] }) as const;
    await Promise.all(
      Array.from({ length: clients }, (_, number) =>
        new Client(world, `${this.#name}.${number}`, { hosts: () => at.hosts, ask }).run(take),
      ),
    );
  }
}
