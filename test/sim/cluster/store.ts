import { type MemoryDatabase } from '../../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../../src/store/memory/faults.ts';
import { openMemoryStore } from '../../../src/store/memory/store.ts';
import { type Store } from '../../../src/store/store.ts';
import { type Clock } from '../../../src/core/ports.ts';
import { type Life } from '../kernel/life.ts';
import { type Stream } from '../kernel/streams.ts';

/** What goes wrong in one process' handle on its store; changed while it runs. */
export type StoreTrouble = Required<Omit<MemoryFaults, 'pause'>> & {
  /** The store does not answer: commits wait until it does. */
  away: boolean;
};

export function noTrouble(): StoreTrouble {
  return { conflict: 0, unknownCommitted: 0, unknownLost: 0, tooOld: 0, spuriousWatch: 0, diskFull: 0, away: false };
}

export interface SimStoreDeps {
  readonly life: Life;
  readonly clock: Clock;
  readonly random: Stream;
  readonly trouble: StoreTrouble;
  /** Called wherever a process may end or stop in the middle of a transaction. */
  readonly atPausePoint: () => void;
}

const readPauseChance = 0.05;
const commitMs = 1.5;
const awayPollMs = 250;

/**
 * A process' handle on its cluster's store. Commits take time, some reads too, so that processes get in each other's way; all of it
 * goes through the process' life, and so does the waking of watches, which else would run this process in another's turn.
 */
export function openSimStore(database: MemoryDatabase, { life, clock, random, trouble, atPausePoint }: SimStoreDeps): Store {
  const faults: MemoryFaults = Object.assign(trouble, {
    pause: async (point: 'read' | 'commit' | 'committed'): Promise<void> => {
      if (point === 'read' && !random.chance(readPauseChance)) return;
      atPausePoint();
      await life.sleep(random.around(commitMs), '');
      while (trouble.away && point !== 'read') await life.sleep(awayPollMs, 'store is away');
    },
  });
  const store = openMemoryStore(database, { clock, random, faults });
  return {
    transact: (work, options) => store.transact(work, options),
    read: (work) => store.read(work),
    watch: (key, signal) => store.watch(key, signal).then(() => (signal.aborted ? undefined : life.sleep(random.around(1), 'watch wakes'))),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
