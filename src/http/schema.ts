import * as z from 'zod';
import { limits } from '../core/limits.ts';
import { recordKinds } from '../grant/anyRecord.ts';
import { recordsPageMax } from '../grant/ledger.ts';
import { grantLimits } from '../grant/limits.ts';
import { ledgerBounds } from '../grant/places.ts';

/** The shapes of requests and answers. What they check is checked once, here; bytes are decoded in `parse.ts`. */
const base64 = (what: string): z.ZodString =>
  z.string().meta({ contentEncoding: 'base64', description: `${what}; standard base64 with padding` });
const stamp = z.string().meta({ pattern: '^[0-9a-f]{32}$', description: 'version: 32 lower-case hex digits' });
const key = base64(`key, 1 to ${limits.keyBytesMax} bytes`);
const value = base64(`value, up to ${limits.valueBytesMax} bytes`);
const ifVersion = stamp
  .nullable()
  .optional()
  .meta({ description: 'write only if this is the current version; null: only if there is none' });
const ttlMs = z.number().max(limits.ttlMsMax).min(1).int().optional().meta({ description: 'the write expires after so many ms' });
const bound = base64(`bound of keys, up to ${limits.keyBytesMax + 1} bytes; empty is the very first or the very last`);
const range = {
  start: bound.optional(),
  end: bound.optional(),
  prefix: base64('prefix of keys; with start or end, what of it lies there').optional(),
};

const atLeast = stamp.optional().meta({ description: 'wait until what was accepted under this stamp, in whatever region, is here' });

export const getRequest = z.strictObject({ key, atLeast });

export const setRequest = z.strictObject({
  key,
  value: value.optional(),
  delete: z.literal(true).optional(),
  ifVersion,
  ttlMs,
});

const signedFields = {
  write: base64('a write’s body: key, version, flags, expiry, leaf grant, and length and SHA-256 of the value'),
  value: base64('the value that the body names; empty for a tombstone'),
  signature: base64('signature block of who holds the leaf grant'),
};

/** In a granted mesh, a write that the client has signed. */
export const signedRequest = z.strictObject(signedFields);

export const listRequest = z.strictObject({
  ...range,
  limit: z.int().min(1).max(limits.listLimitMax).default(limits.listLimitDefault),
  reverse: z.boolean().default(false),
  keysOnly: z.boolean().default(false),
  patterns: z.array(z.string()).min(1).max(grantLimits.filterPatternsMax).optional().meta({
    description:
      'only keys that match: patterns as of grants, each in standard base64 with padding; one with ! in front removes keys; of those that match a key the last decides',
  }),
  atLeast,
});

export const batchRequest = z.strictObject({
  ops: z
    .array(
      z.discriminatedUnion('op', [
        z.strictObject({ op: z.literal('set'), key, value, ifVersion, ttlMs }),
        z.strictObject({ op: z.literal('delete'), key, ifVersion }),
        z.strictObject({ op: z.literal('write'), ...signedFields }).meta({ description: 'signed by the client; then all operations are' }),
      ]),
    )
    .max(limits.batchOpsMax),
});

export const pullRequest = z.strictObject({
  peer: z.string().meta({ description: 'HOST:PORT of the mesh port of the peer' }),
  ...range,
  direction: z.enum(['both', 'pull']).default('both'),
});

const clusterId = z.string().meta({ format: 'uuid', description: 'cluster id: a UUID in lower case' });

export const addMemberRequest = z.strictObject({
  peer: z.string().meta({ description: 'HOST:PORT of its mesh port, by which all regions reach it' }),
  regionName: z
    .string()
    .regex(/^[\w.-]{1,64}$/, '1 to 64 letters, digits, dots, dashes and underscores are allowed')
    .optional()
    .meta({ description: 'what to call it; its own name for itself if absent' }),
});

export const removeMemberRequest = z.strictObject({ clusterId });

const count = z.int().min(0);

export const backupRequest = z.strictObject({
  resume: z
    .strictObject({
      header: base64('header of the file'),
      digest: base64('digest of its last whole record'),
      position: base64('of the feed, behind its last whole page').optional(),
      pages: count,
      writes: count,
    })
    .optional()
    .meta({ description: 'go on where a file ends that broke off' }),
});

const outcome = z.object({ version: stamp, accepted: stamp, applied: z.boolean() });

export const getAnswer = z.object({ value, exists: z.boolean(), version: stamp.nullable() });
export const setAnswer = outcome;
export const listAnswer = z.object({
  entries: z.array(z.object({ key, value, version: stamp })),
  next: base64('where to go on').nullable(),
});
export const batchAnswer = z.object({ results: z.array(outcome) });
export const pullAnswer = z.object({
  keysCompared: count,
  branchesCompared: count,
  received: count,
  sent: count,
  applied: count,
  parked: count,
  missed: count,
  bytesIn: count,
  bytesOut: count,
  writeBytes: count,
  roundTrips: count,
  durationMs: z.number(),
  converged: z.boolean(),
});
export const treeAnswer = z.object({ sum: z.string(), count, bytes: count, levels: count, topBranches: count });
const peer = z.object({ clusterId: z.string(), address: z.string(), regionName: z.string() });
export const statusAnswer = z.object({
  clusterId: z.string(),
  meshId: z.string(),
  region: z.string(),
  release: z.string(),
  ready: z.boolean(),
  unready: z.string().nullable().meta({ description: 'why it is not ready, and what to do' }),
  slot: count,
  leases: z
    .array(z.string())
    .meta({ description: 'that this instance holds: slot/N, and job/NAME of what one of those that share a store does' }),
  clockAheadMs: count,
  store: z.object({
    kind: z.enum(['lmdb', 'fdb']),
    available: z.boolean(),
    healthy: z.boolean(),
    sizeBytes: count.nullable().meta({ description: 'on disk where it is embedded, else roughly what keys and values take' }),
    message: z.string(),
    scrub: z
      .object({ endedMs: count, keys: count, repaired: count, damaged: count })
      .nullable()
      .meta({ description: 'the last look through the whole store; null: none has ended since the start, or another instance does it' }),
    fault: z.string().nullable().meta({ description: 'what is damaged in it, and what to do' }),
  }),
  entries: count.nullable(),
  bytes: count.nullable(),
  parkedWrites: count.nullable(),
  parkedByReason: z
    .object({
      clockAhead: count.nullable().meta({ description: 'too far ahead of our clock' }),
      grantUnknown: count.nullable().meta({ description: 'a grant that they rest on is not known yet' }),
    })
    .nullable()
    .meta({ description: 'what parkedWrites wait for; null: some have waited since before that was counted' }),
  mesh: z
    .object({
      peers: z.array(
        peer.extend({
          followed: z.boolean(),
          connected: z.boolean(),
          lastContactMs: count.nullable(),
          lastLevelMs: count.nullable(),
          lagMs: count.nullable().meta({
            description: '0 while all that it had is here and it answers in time, else since when that was so; null: it never was',
          }),
          lagWrites: count.nullable().meta({
            description:
              'writes of its feed that are still to be gone through, those among them that are here from others, as it counted them last; 1000 are so many or more; null: not known',
          }),
          clockSkewMs: z.int().nullable(),
          low: z.string().nullable(),
          scope: z.array(z.string()).nullable(),
          writes: count,
          failures: count,
          lastError: z.string().nullable(),
          lastExchange: z.object({ atMs: count, result: z.string(), received: count, sent: count }).nullable(),
          defects: count,
          atEpoch: z.boolean(),
          fault: z.string().nullable(),
        }),
      ),
      origins: z
        .array(z.object({ clusterId: z.string(), regionName: z.string(), closed: z.string().nullable(), ageMs: count.nullable() }))
        .meta({
          description:
            'of each member, this cluster first, up to when all that it took in itself is here, and how long ago that was; null: not known yet',
        }),
      scope: z.array(z.string()).meta({ description: 'the keys that the cluster holds: ** for all' }),
      low: z.string(),
      floor: z.string(),
      floorHeldBackBy: z.array(z.string()),
      epoch: z.string(),
      removed: z.array(z.object({ clusterId: z.string(), settled: z.boolean() })),
      joining: z.array(peer).meta({ description: 'clusters that are being filled, and hold the floor back until they are members' }),
      fault: z.string().nullable(),
    })
    .nullable(),
});
export const addMemberAnswer = peer;
export const removeMemberAnswer = z.object({ removed: z.boolean() });
export const peersAnswer = z.object({ peers: z.array(peer) });
export const keyAnswer = z.object({
  candidates: z.array(
    z.object({
      version: stamp,
      accepted: stamp,
      origin: z.object({ cluster: z.string().meta({ description: 'the 48-bit id of the cluster that took it in' }), slot: count }),
      writeId: z.string(),
      leafGrant: z.string(),
      tombstone: z.boolean(),
      expiresAt: count.nullable(),
      bytes: count,
      feedPosition: z.string().nullable(),
      chain: z
        .object({
          grants: z.array(z.object({ grant: z.string(), audience: z.string() })),
          stands: z.boolean(),
          code: z.string().nullable(),
          message: z.string().nullable(),
          link: count.nullable(),
          endedBy: z.string().nullable(),
        })
        .nullable()
        .meta({ description: 'the grants that it rests on, from the root’s to the leaf, and whether they stand; null in an open mesh' }),
    }),
  ),
});
export const refusedAnswer = z.object({
  refused: z.array(
    z.object({
      at: z.string(),
      via: z.enum(['api', 'signed', 'peer']),
      peer: z.string().nullable(),
      code: z.string(),
      message: z.string(),
      link: count.nullable(),
      grant: z.string().nullable(),
      endedBy: z.string().nullable(),
      key: base64('its first 64 bytes'),
      keyBytes: count,
    }),
  ),
});
/** A whole number as it stands in an address, in its one spelling. */
const wholeText = (
  description: string,
  bounds: { minimum: number; maximum: number; default: number },
): z.ZodType<number, string | undefined> =>
  z
    .string()
    .refine((text) => /^(?:0|[1-9]\d{0,8})$/.test(text), 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(bounds.minimum).max(bounds.maximum))
    .default(bounds.default)
    .meta({ type: 'integer', ...bounds, description });

export const keyQuery = z.object({ key: z.string().meta({ description: 'key in base64url without padding' }) });

export const recordsQuery = z.strictObject({
  after: wholeText('number of the record behind which to begin; 0 if absent', { minimum: 0, maximum: ledgerBounds.rowsMax, default: 0 }),
  limit: wholeText(`records; ${recordsPageMax} if absent`, { minimum: 1, maximum: recordsPageMax, default: recordsPageMax }),
});

export const recordsAnswer = z.object({
  records: z.array(z.object({ number: count, kind: z.enum(recordKinds), record: base64('the record with its signatures') })),
  next: count.nullable().meta({ description: 'after what to go on; null: there are no more' }),
});

export const errorAnswer = z.object({ error: z.looseObject({ code: z.string(), message: z.string() }) });
