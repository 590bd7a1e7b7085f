import { type AnyRecord } from '../../../src/grant/anyRecord.ts';
import { anyOf, person } from '../../grant/world.ts';
import { type Host } from '../cluster/host.ts';
import { type Kernel } from '../kernel/kernel.ts';
import { allRights, clusterName, foreverMs, Office } from './office.ts';
import { type GrantedInstance } from '../cluster/authority.ts';
import { MadeWrites } from './made.ts';

const lateMsMean = 4_000;

/** A granted mesh: who makes its records, where they are brought, and what writers of their own have signed. */
export class GrantedMesh {
  readonly office: Office;
  readonly writes = new MadeWrites();
  readonly #kernel: Kernel;
  /** Records that are under way to somebody's directory. */
  readonly #underWay = new Set<() => void>();
  #hosts: readonly Host[] = [];

  constructor(kernel: Kernel, regions: number) {
    this.#kernel = kernel;
    this.office = new Office(kernel.streams.of('office'), regions);
  }

  /** What an instance of a region is started with. */
  startOf(region: number, directory: readonly AnyRecord[]): GrantedInstance {
    let read = 0;
    const news: GrantedInstance['news'] = () => {
      const from = read;
      read = directory.length;
      return Promise.resolve({ records: directory.slice(from), wrong: [] });
    };
    return { meshId: this.office.meshId, signer: person(clusterName(region)), news };
  }

  /**
   * Each cluster has its grant over the records of members, and one over data, wherever that is told first. They are two: what data are written
   * under may end, and members whose records go with it would be members no more. The first are told everywhere, as an operator must: who joins
   * writes its own record, and where its grant is not known that waits, and nobody follows it to hear of it.
   */
  begin(hosts: readonly Host[]): void {
    this.#hosts = hosts;
    const random = this.#kernel.streams.of('first grants');
    const known = [this.office.root, ...this.office.permanent.map(({ record }) => anyOf(record))];
    for (const { directory } of hosts) directory.push(...known);
    const terms = { areas: ['flat', 'deep'], rights: allRights, depth: 3, fromMs: 0, toMs: foreverMs } as const;
    for (const region of this.office.permanent.keys()) {
      const given = this.office.ofRoot(clusterName(region), terms);
      random.pick(hosts).directory.push(anyOf(given.record));
    }
  }

  /** Some operator writes it down, some time later. */
  bring(record: AnyRecord): void {
    const random = this.#kernel.streams.of('bring');
    const host = random.pick(this.#hosts);
    const write = (): void => {
      if (this.#underWay.delete(write)) host.directory.push(record);
    };
    this.#underWay.add(write);
    this.#kernel.after(random.chance(0.5) ? 0 : random.around(lateMsMean), '', write);
  }

  /** Nothing is under way any more. */
  settle(): void {
    for (const write of this.#underWay) write();
  }
}
