import { z } from 'zod';
import { type Client } from './client.ts';

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
