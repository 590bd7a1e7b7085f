import { scan } from '../../src/store/scan.ts';
import { type Row } from '../../src/store/store.ts';

/** The rows of `scan` one by one. */
export async function* scanned(...args: Parameters<typeof scan>): AsyncGenerator<Row, void> {
  for await (const page of scan(...args)) yield* page;
}
