/** Bugs in what a granted mesh does with authority. */
import { toHex, toLatin1 } from '../../../src/core/bytes.ts';
import { decodeEntry, encodeEntry, type Head } from '../../../src/core/entry.ts';
import { everything, type Scopes } from '../../../src/core/scope.ts';
import { parseStamp, type Stamp } from '../../../src/core/stamp.ts';
import { HeldGrants } from '../../../src/grant/holdings.ts';
import { isGone } from '../../../src/replica/floor.ts';
import { tables } from '../../../src/store/keyspace.ts';
import { withMethods } from '../cluster/replaced.ts';
import { type Plant } from './plant.ts';
import { forwardedTransaction, withTransactions } from '../../store/wrap.ts';

/** What waits is judged once new records have come, and nothing is swept. */
export const sweepLeftOut: Plant = {
  settling: (replica) => ({ settleAuthority: async () => ({ judged: await replica.retryUnproven(), swept: 0, givenUp: new Map() }) }),
};

/** A commit is judged by what its process knew before, and does not conflict with who adds a record of authority: a revocation is overtaken. */
export const ledgerReadApart: Plant = { guard: (guard) => withMethods(guard, { catchUp: () => Promise.resolve() }) };

const fromExchanges = new WeakSet();

/** Signatures of what exchanges bring are taken for good. */
export const uncheckedInExchanges: Plant = {
  sink: (replica) => ({
    receive: (writes, peer, asOf) => {
      for (const received of writes) fromExchanges.add(received);
      return replica.receive(writes, peer, 'repairs', asOf);
    },
  }),
  guard: (guard) =>
    withMethods(guard, {
      prove: async (writes) => {
        const proofs = await guard.prove(writes);
        return proofs.map((proof, i) => (fromExchanges.has(writes[i] ?? {}) ? 'held' : proof));
      },
    }),
};

/** A write whose grant is not known yet is refused for good, where it should wait. */
export const unknownDropped: Plant = {
  guard: (guard) =>
    withMethods(guard, {
      refusalOf: (received, proof) => {
        const refusal = guard.refusalOf(received, proof);
        return refusal?.code === 'grant_unknown' ? { ...refusal, code: 'grant_revoked' } : refusal;
      },
    }),
};

/** What a grant allowed once it allows for ever. */
export const judgedOnce: Plant = {
  guard: (guard) => {
    const allowed = new Set<string>();
    return withMethods(guard, {
      refusalOf: (received, proof) => {
        const { leaf, key, tombstone } = received.write;
        const name = `${toHex(leaf)} ${String(tombstone)} ${toLatin1(key)}`;
        if (proof === 'held' && allowed.has(name)) return undefined;
        const refusal = guard.refusalOf(received, proof);
        if (refusal === undefined) allowed.add(name);
        return refusal;
      },
    });
  },
};

/** Of two root documents of one version the first that was heard of counts. */
export const forkIgnored: Plant = {
  ledger: (ledger) => {
    const { known } = ledger;
    const forkless = {
      meshId: known.meshId,
      grant: (id: Uint8Array) => known.grant(id),
      refused: (id: Uint8Array) => known.refused(id),
      rootsOf: (version: number) => known.rootsOf(version).slice(0, 1),
      rootsAfter: (version: number) => known.rootsAfter(version),
      revocationsOf: (id: Uint8Array) => known.revocationsOf(id),
      grants: () => known.grants(),
      get endings() {
        return known.endings;
      },
    };
    const held = new HeldGrants(forkless);
    return withMethods(ledger, { known: { ...forkless, heldBy: (holder) => held.heldBy(holder) } });
  },
};

/** A peer's frontier is joined whatever keys it holds. */
export const joinedOutsideScope: Plant = {
  mesh: (deps) => ({
    ...deps,
    links: {
      link: (address, service) => {
        const link = deps.links.link(address, service);
        return { ...link, ...(link.scopes && { scopes: async (signal) => wider(await link.scopes?.(signal)) }) };
      },
    },
  }),
};

function wider(scopes: Scopes | undefined): Scopes | undefined {
  return scopes && { ...scopes, peer: everything };
}

/** A tombstone is collected though the key has other candidates. */
export const collectedOverSibling: Plant = {
  store: (store) =>
    withTransactions(store, (tx) => {
      let floor: Stamp | undefined;
      const siblings = new Map<string, readonly Head[]>();
      return {
        ...forwardedTransaction(tx),
        range: (range, options) => {
          if (range.start[0] === tables.tombstone && range.end[0] === tables.tombstone) floor = parseStamp(range.end.subarray(1));
          return tx.range(range, options);
        },
        get: async (key, isolation) => {
          const bytes = await tx.get(key, isolation);
          const before = floor;
          if (before === undefined || bytes === undefined || key[0] !== tables.head) return bytes;
          const entry = decodeEntry(bytes);
          const deleted = entry.find((head) => head.tombstone && isGone(head, before));
          if (deleted === undefined || entry.length === 1) return bytes;
          siblings.set(toLatin1(key), entry.filter((head) => head !== deleted)); // prettier-ignore
          return encodeEntry([deleted], () => 0);
        },
        clear: (key) => {
          const left = siblings.get(toLatin1(key));
          if (left === undefined) tx.clear(key);
          else
            tx.set(
              key,
              encodeEntry(left, () => 0),
            );
        },
      };
    }),
};
