import { hasCode } from '../../../src/core/errors.ts';
import { toHex } from '../../../src/core/bytes.ts';
import { type ReadResult } from '../../../src/replica/read.ts';
import { type Front } from '../cluster/instance.ts';
import { type Plant } from './plant.ts';
import { forwarded } from '../../store/wrap.ts';

/** A commit for which there is no room is taken for one. */
export const fullDiskTaken: Plant = {
  store: (store) => ({
    ...forwarded(store),
    transact: async (work, options) => {
      let last: { readonly value: Awaited<ReturnType<typeof work>> } | undefined;
      try {
        return await store.transact(async (tx) => {
          const value = await work(tx);
          last = { value };
          return value;
        }, options);
      } catch (error) {
        if (last !== undefined && hasCode(error, 'disk_full')) return last.value;
        throw error;
      }
    },
  }),
};

function frontOf(replica: Front): Front {
  return {
    write: (ops) => replica.write(ops),
    get: (key) => replica.get(key),
    list: (query) => replica.list(query),
  };
}

/** What a write expects is looked at before its transaction, and not in it. */
export const expectedOutside: Plant = {
  front: (replica) => ({
    ...frontOf(replica),
    write: async (ops) => {
      for (const { key, expected } of ops) {
        const { version } = await replica.get(key);
        const found = version === null ? '' : toHex(version);
        const wanted = expected.kind === 'any' ? found : expected.kind === 'absent' ? '' : toHex(expected.version);
        if (found !== wanted) return replica.write(ops);
      }
      return replica.write(ops.map((op) => ({ ...op, expected: { kind: 'any' } })));
    },
  }),
};

/** Reads answer what they answered before. */
export const staleReads: Plant = {
  front: (replica) => {
    const answers = new Map<string, { readonly answer: ReadResult; left: number }>();
    return {
      ...frontOf(replica),
      get: async (key) => {
        const name = toHex(key);
        const known = answers.get(name);
        if (known !== undefined && known.left > 0) {
          known.left -= 1;
          return known.answer;
        }
        const answer = await replica.get(key);
        answers.set(name, { answer, left: 3 });
        return answer;
      },
    };
  },
};
