import { z } from 'zod';
import { limits } from '../core/limits.ts';

/** Standard base64 with padding; decoded and checked for its canonical form where it is used. */
const bytes = z.string().meta({ description: 'bytes, standard base64 with padding', contentEncoding: 'base64' });
const version = z.string().meta({ description: 'version: 32 lower-case hex digits' });
const ifVersion = version.nullable().optional().meta({ description: 'the version that the key must have; null: it must not exist' });
const ttlMs = z.int().min(1).max(limits.ttlMsMax).optional();
const limit = z.int().min(1).max(limits.listLimitMax).optional();

export const getRequest = z.strictObject({ key: bytes });
export const getAnswer = z.strictObject({ value: bytes, exists: z.boolean(), version: version.nullable() });

export const setRequest = z.strictObject({ key: bytes, value: bytes.optional(), delete: z.literal(true).optional(), ifVersion, ttlMs });
export const setAnswer = z.strictObject({ version, accepted: version, applied: z.boolean() });

export const listRequest = z.strictObject({
  start: bytes.optional(),
  end: bytes.optional(),
  prefix: bytes.optional(),
  limit,
  reverse: z.boolean().optional(),
  keysOnly: z.boolean().optional(),
});
export const listAnswer = z.strictObject({ entries: z.array(z.strictObject({ key: bytes, value: bytes, version })), next: bytes.nullable() });

export const batchRequest = z.strictObject({
  ops: z
    .array(
      z.discriminatedUnion('op', [
        z.strictObject({ op: z.literal('set'), key: bytes, value: bytes, ifVersion, ttlMs }),
        z.strictObject({ op: z.literal('delete'), key: bytes, ifVersion }),
      ]),
    )
    .max(limits.batchOpsMax),
});
export const batchAnswer = z.strictObject({ results: z.array(setAnswer) });

export const pullRequest = z.strictObject({
  peer: z.string().meta({ description: 'HOST:PORT of the peer, its mesh port' }),
  start: bytes.optional(),
  end: bytes.optional(),
  prefix: bytes.optional(),
  direction: z.enum(['both', 'pull']).optional(),
});
const count = z.int().min(0);
export const pullAnswer = z.strictObject({
  keysCompared: count,
  branchesCompared: count,
  received: count,
  sent: count,
  applied: count,
  parked: count,
  bytesIn: count,
  bytesOut: count,
  writeBytes: count,
  roundTrips: count,
  durationMs: count,
  converged: z.boolean(),
});

export const treeAnswer = z.strictObject({ sum: z.string(), count, bytes: count, levels: count, topBranches: count });
export const peersAnswer = z.strictObject({
  peers: z.array(z.strictObject({ clusterId: z.string(), address: z.string(), regionName: z.string() })),
});
export const errorAnswer = z.object({ error: z.looseObject({ code: z.string(), message: z.string() }) });
