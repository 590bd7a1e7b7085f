import { readTreeState } from '../aae/records.ts';
import { levelRows } from '../aae/sums.ts';
import { rootSum } from '../aae/tree.ts';
import { toHex } from '../core/bytes.ts';
import { allKeys } from '../core/key.ts';
import { bytesOf, countOf } from '../core/sum.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type TreeSummary } from '../http/ports.ts';
import { type Snapshot } from '../store/store.ts';

/** The tree in numbers, from its highest level alone. */
export async function treeSummary(snapshot: Snapshot, digests: MeshDigests): Promise<TreeSummary> {
  const { active } = await readTreeState(snapshot);
  const sum = await rootSum(snapshot, digests);
  const { length } = await levelRows(snapshot, allKeys, active);
  return { sum: toHex(sum), count: countOf(sum), bytes: bytesOf(sum), levels: active, topBranches: length };
}
