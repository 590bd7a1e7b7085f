import { hasCode } from '../../../src/core/errors.ts';
import { renewStore } from '../../../src/server/renew.ts';
import { clockOf } from '../kernel/clock.ts';
import { Life } from '../kernel/life.ts';
import { type World } from '../world.ts';
import { asBug } from './log.ts';
import { type Region } from './region.ts';
import { noTrouble, openSimStore } from './store.ts';

/** As an operator is told to: where peers refuse a cluster as restored, stops all of its processes, renews its store, and starts them again. */
export async function renewWhereRefused(region: Region, world: World): Promise<void> {
  if (isRefused(region, world)) await renew(region, world);
}

/** With all of its processes ended, which are started again behind that. */
export async function renew(region: Region, { kernel, counts }: World): Promise<void> {
  const [host] = region.hosts;
  if (host === undefined) return;
  const { disk } = region;
  region.closeToProcesses();
  const life = new Life(kernel, `${region.name} renewal`);
  const clock = clockOf(host.machine, life);
  const random = kernel.streams.of(`${region.name} renewal`);
  const store = openSimStore(region.database, { life, clock, random, trouble: noTrouble(), atPausePoint: () => undefined });
  await new Promise<void>((resolve) => {
    life.after(1, 'renews', () => {
      renewStore(store, clock)
        .then((own) => {
          counts.add('renewed');
          if (region.disk === disk) region.renewed(own);
        })
        .catch((error: unknown) => {
          const bug = asBug(error);
          if (bug !== undefined) kernel.fail(bug);
        })
        .finally(resolve);
    });
  });
  life.end();
  if (region.disk === disk) region.openToProcesses();
}

/** It says so itself; or, of a copy, who is being filled from it does, whom it asks nothing, or the donor that it is being filled from. */
function isRefused(region: Region, { regions }: World): boolean {
  if (region.hosts.some(({ fault }) => hasCode(fault, 'rollback_detected'))) return true;
  const joining = regions.filter((each) => each === region || each.donor?.host === region.name);
  return region.isCopy && joining.some(({ hosts }) => hosts.some(({ donorFault }) => donorFault === 'rollback_detected'));
}
