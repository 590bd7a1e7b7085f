import { type Log } from '../../../src/core/ports.ts';
import { type Scope } from '../../../src/core/scope.ts';
import { Guard } from '../../../src/replica/guard.ts';
import { StoreAuthority } from '../../../src/server/authority.ts';
import { type GrantedStart } from '../../../src/server/config.ts';
import { type Store } from '../../../src/store/store.ts';
import { signatures } from '../grants/crypto.ts';
import { type Plant } from '../plants/plant.ts';

/** What an instance of a granted mesh is started with. */
export type GrantedInstance = Omit<GrantedStart, 'meshKey'>;

export interface InstanceAuthority {
  readonly of: StoreAuthority;
  readonly guard: Guard;
}

/** As `server/instance.ts` opens it, but for signatures, which are looked at within the call. */
export async function openAuthority(
  store: Store,
  start: GrantedInstance,
  log: Log,
  plant: Plant,
  scope: Scope | undefined,
): Promise<InstanceAuthority> {
  const authority = await StoreAuthority.open(store, start, log, signatures);
  const guard = plant.ledger === undefined ? authority.guard : new Guard(plant.ledger(authority.ledger), signatures, start.signer);
  if (scope !== undefined) guard.confine(scope);
  return { of: authority, guard: plant.guard?.(guard) ?? guard };
}
