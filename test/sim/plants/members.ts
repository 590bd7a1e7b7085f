import { parseUuid } from '../../../src/core/uuid.ts';
import { encodeRemoved, isJoining, parseRemoved } from '../../../src/mesh/peers.ts';
import { type ListedEntry } from '../../../src/replica/read.ts';
import { meshReplica } from './feed.ts';
import { type Plant } from './plant.ts';

/** The mesh reads other records of its members than there are. */
function membersRead(change: (entry: ListedEntry, clusterId: Uint8Array) => ListedEntry | undefined): Plant {
  return meshReplica((replica) => ({
    list: async (query) => {
      const listed = await replica.list(query);
      const entries = listed.entries.flatMap((entry) => {
        const clusterId = parseUuid(Buffer.from(entry.key.subarray(-36)).toString());
        return (clusterId === undefined ? entry : change(entry, clusterId)) ?? [];
      });
      return { ...listed, entries };
    },
  }));
}

/** A removal counts as settled from the first: nobody waits until all have what any member had of it. */
export const unsettledRemoval = membersRead((entry, clusterId) => {
  const removal = parseRemoved(clusterId, entry.value);
  return removal === undefined ? entry : { ...entry, value: encodeRemoved({ ...removal, settled: true }) };
});

/** Nobody's floor waits for a cluster that is being filled. */
export const joinerCountedEarly = membersRead((entry) => (isJoining(entry.value) ? undefined : entry));
