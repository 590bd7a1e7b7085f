import { backupOf } from '../backup/source.ts';
import { sha256 } from '../crypto/digest.ts';
import { type Backups } from '../http/ports.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { isEverything, scopeText, type Scope } from '../core/scope.ts';
import { compareStamps, stampZero, type Stamp } from '../core/stamp.ts';
import { isAboveFloor } from '../mesh/floor.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { type ClusterIdentity } from './identity.ts';
import { isBeingFilled } from './joining.ts';
import { realClock } from './real.ts';

/** How this cluster stands among the members. */
interface Standing {
  view(): Promise<{ readonly low: Stamp }>;
  fault(): GkvError | undefined;
}

const lowMsMax = 15_000;
const lowPauseMs = 100;

/** Backups of the cluster that an instance belongs to. Error: `scope_mismatch` where its store is for some keys alone: a backup does not say so, and what it claims would be believed of all; `unavailable` while it is filled; `must_bootstrap` where it must be. */
export function createBackups(
  { scope, ...own }: ClusterIdentity & { readonly meshKey: Uint8Array; readonly scope: Scope },
  store: Store,
  replica: Replica,
  mesh: Standing,
): Backups {
  const deps = {
    replica,
    own: { ...own, keyDigest: sha256(own.meshKey) },
    low: () => knownLow(mesh),
    nowMs: () => realClock.now(),
    assertWhole: () => assertWhole(store, mesh),
    isAboveFloor,
  };
  return {
    open: (resume, signal) => {
      if (isEverything(scope)) return backupOf(deps, resume, signal);
      const why = `this cluster is for ${scopeText(scope).join(' ')} alone: back up a region that holds everything`;
      throw new GkvError('scope_mismatch', why);
    },
  };
}

/** A store that is filled has values ahead of the deletes that took them away, and who restores it would bring them back. */
async function assertWhole(store: Store, mesh: Standing): Promise<void> {
  if (await isBeingFilled(store))
    throw new GkvError(
      'unavailable',
      'this cluster is being filled, and does not have all deletes yet: back it up when it is ready, or its donor now',
    );
  const fault = mesh.fault();
  if (hasCode(fault, 'must_bootstrap')) throw fault;
}

/** Just after a start not all members are heard of, and low is not known: a floor that moves then would end the backup for nothing. */
async function knownLow(mesh: Standing): Promise<Stamp> {
  const untilMs = realClock.monotonic() + lowMsMax;
  for (;;) {
    const { low } = await mesh.view();
    if (compareStamps(low, stampZero) !== 0 || realClock.monotonic() >= untilMs) return low;
    await realClock.sleep(lowPauseMs);
  }
}
