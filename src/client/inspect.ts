import { z } from 'zod';
import { type Client } from './client.ts';

const candidatesSchema = z.object({
  candidates: z.array(
    z.object({
      version: z.string(),
      tombstone: z.boolean(),
      expiresAt: z.number().nullable(),
      chain: z.object({ grants: z.array(z.object({ grant: z.string() })), stands: z.boolean() }).nullable(),
    }),
  ),
});

/** A write that is held for a key: its version, when it expires (ms since the epoch), and the grants that it rests on, in hex, from the root's. */
export interface Candidate {
  readonly version: string;
  readonly tombstone: boolean;
  readonly expiresAt: number | null;
  /** Null in an open mesh. */
  readonly chain: { readonly grants: readonly { readonly grant: string }[]; readonly stands: boolean } | null;
}

/** All that is held for a key. Errors: as of `Client`. */
export async function candidatesOf(client: Client, key: Uint8Array): Promise<readonly Candidate[]> {
  const query = Buffer.from(key).toString('base64url');
  return candidatesSchema.parse(await client.json(`/control/key?key=${query}`)).candidates;
}

const refusedSchema = z.object({
  refused: z.array(
    z.object({ at: z.string(), via: z.string(), code: z.string(), message: z.string(), key: z.string(), keyBytes: z.number() }),
  ),
});

/** A write that the instance refused: when, by which way it came, why, and the first 64 bytes of its key in base64. */
export type Refused = z.output<typeof refusedSchema>['refused'][number];

/** The last 100, the latest first. Errors: as of `Client`. */
export async function refusedWrites(client: Client): Promise<readonly Refused[]> {
  return refusedSchema.parse(await client.json('/control/refused')).refused;
}
