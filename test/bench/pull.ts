/** (e): a full region, and an empty one that pulls all of it; two processes of the built command, and their memory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { post } from '../region.ts';
import { fill, startRegion } from './contenders.ts';
import { anonymousMb, sampleMemory } from './memory.ts';
import { type BenchContext } from './rows.ts';

const told = z.object({ received: z.number(), durationMs: z.number(), converged: z.boolean() });
const memoryTarget = { kind: 'atMost' as const, value: 250 };
const rateTarget = { kind: 'atLeast' as const, value: 40_000 };

export async function pull({ quick, report, workshop }: BenchContext): Promise<void> {
  const keys = quick ? 10_000 : 1_000_000;
  const restMs = quick ? 500 : 10_000;
  const memory = (name: string, measured: number): void => {
    report({ part: 'e', name: `anonymous memory: ${name}`, measured, unit: 'MB', target: memoryTarget });
  };
  const donor = await startRegion(workshop, 'donor');
  const receiver = await startRegion(workshop, 'receiver');
  const filling = sampleMemory(donor.service.pid);
  await fill(donor.api, keys);
  memory('donor, most while it was filled', filling.stop());
  await sleep(restMs);
  memory(`donor, ${keys.toLocaleString('en')} keys at rest`, anonymousMb(donor.service.pid));

  const samplers = [sampleMemory(donor.service.pid), sampleMemory(receiver.service.pid)] as const;
  const { received, durationMs, converged } = told.parse(await post(`${receiver.api}/control/aae/pull`, { peer: donor.mesh }));
  const [donorMb, receiverMb] = [samplers[0].stop(), samplers[1].stop()];
  if (!converged || received !== keys) throw new Error(`the pull brought ${received} of ${keys}, converged: ${String(converged)}`);
  const note = `12-byte keys, 100-byte values; ${durationMs} ms`;
  report({
    part: 'e',
    name: `pull of ${keys.toLocaleString('en')}`,
    measured: (received * 1_000) / durationMs,
    unit: 'entries/s',
    target: rateTarget,
    note,
  });
  memory('donor, most during the pull', donorMb);
  memory('receiver, most during the pull', receiverMb);
  await sleep(restMs);
  memory(`receiver, ${keys.toLocaleString('en')} keys at rest`, anonymousMb(receiver.service.pid));
  await Promise.all([donor.service.stop(), receiver.service.stop()]);
}
