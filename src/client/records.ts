import { z } from 'zod';
import { GkvError } from '../core/errors.ts';
import { recordsPageMax } from '../grant/ledger.ts';
import { ledgerBounds } from '../grant/places.ts';
import { type Client } from './client.ts';

const pageSchema = z.object({
  records: z.array(z.object({ number: z.int(), kind: z.string(), record: z.string() })).max(recordsPageMax),
  next: z.int().nullable(),
});

/** A record as an instance tells it, and nothing that was verified: its number there, kind, and bytes in base64. */
export type ToldRecord = z.output<typeof pageSchema>['records'][number];

/**
 * All that an instance tells of its mesh's authority, in its order: as many as a ledger has, and no more, whatever the instance says. Errors: as of `Client`;
 * `mesh_mismatch` in an open mesh, `unavailable` for answers that are no ledger's.
 */
export async function* recordsOf(client: Client): AsyncGenerator<ToldRecord> {
  for (let after: number | null = 0; after !== null;) {
    const { records, next }: z.output<typeof pageSchema> = pageOf(await client.json(`/control/records?after=${after}`));
    for (const told of records) {
      after += 1;
      if (told.number !== after || after > ledgerBounds.rowsMax) throw noLedger(`record ${told.number} where ${after} should be`);
      yield told;
    }
    if (next !== null && (records.length === 0 || next !== after)) throw noLedger(`it goes on behind ${next}, and ends with ${after}`);
    after = next;
  }
}

function pageOf(json: unknown): z.output<typeof pageSchema> {
  const parsed = pageSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw noLedger(parsed.error.issues[0]?.message ?? 'it does not fit');
}

function noLedger(why: string): GkvError {
  return new GkvError('unavailable', `the answer is no page of at most ${ledgerBounds.rowsMax} records: ${why}`);
}
