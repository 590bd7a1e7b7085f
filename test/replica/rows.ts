import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../src/core/bytes.ts';
import { decodeEntry, encodePosition, inlineValueBytesMax } from '../../src/core/entry.ts';
import { parseKey } from '../../src/core/key.ts';
import { grantZero } from '../../src/core/write.ts';
import { valueKey } from '../../src/replica/change.ts';
import { expiryRow, rivalRow, rivalsOf, tombstoneRow } from '../../src/replica/derived.ts';
import { keyWithin, storeKey, tableRange, tables, type Table } from '../../src/store/keyspace.ts';
import { scanned } from '../store/scanned.ts';
import { type Store } from '../../src/store/store.ts';

async function rows(store: Store, names: readonly Table[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  await store.read(async (snapshot) => {
    for (const table of names) for await (const row of scanned(snapshot, tableRange(table))) found.set(toHex(row.key), toHex(row.value));
  });
  return found;
}

/**
 * What is stored: 'content' are writes that every cluster must agree on, with their values, wherever these lie; 'derived' the rows of values, feed,
 * tombstones and expiries.
 */
export async function rowsOf(store: Store, what: 'content' | 'derived'): Promise<Map<string, string>> {
  if (what === 'derived') return rows(store, [tables.value, tables.leafValue, tables.feed, tables.tombstone, tables.expiry, tables.rival]);
  const values = await rows(store, [tables.value, tables.leafValue]);
  const content = new Map<string, string>();
  for (const [name, bytes] of await rows(store, [tables.head])) {
    const key = parseKey(keyWithin(Buffer.from(name, 'hex')));
    const heads = decodeEntry(Buffer.from(bytes, 'hex')).map(({ version, id, leaf, length, tombstone, expiresAt, record }) => {
      const value = record === undefined ? values.get(toHex(valueKey(key, leaf))) : toHex(record);
      return [toHex(version), toHex(id), toHex(leaf), length, tombstone, expiresAt, value ?? 'no value'];
    });
    content.set(name, JSON.stringify(heads));
  }
  return content;
}

/** Of the signature block that a record, in hex, begins with; empty in an open mesh. */
function blockBytes(record = '0000'): number {
  return 2 + Buffer.from(record.slice(0, 4), 'hex').readUInt16BE(0);
}

/** What the derived rows should be, from the heads alone; the values themselves as they are stored. Checks which of them are inline. */
export async function expectedRows(store: Store, feedPartitions: 1 | 16 = 1): Promise<Map<string, string>> {
  const stored = await rowsOf(store, 'derived');
  const expected = new Map<string, string>();
  for (const [name, bytes] of await rows(store, [tables.head])) {
    const key = parseKey(keyWithin(Buffer.from(name, 'hex')));
    const partition = feedPartitions === 1 ? 0 : (createHash('sha256').update(key).digest()[0] ?? 0) % feedPartitions;
    const entry = decodeEntry(Buffer.from(bytes, 'hex'));
    for (const head of rivalsOf(entry)) expected.set(toHex(rivalRow(head)), toHex(key));
    for (const head of entry) {
      if (head.position === undefined) throw new Error('a stored head has its place');
      expected.set(
        toHex(storeKey(tables.feed, Uint8Array.of(partition), encodePosition(head.position))),
        toHex(Buffer.concat([head.leaf, key])),
      );
      if (head.tombstone) expected.set(toHex(tombstoneRow(head)), toHex(key));
      if (head.expiresAt !== 0) expected.set(toHex(expiryRow(head)), toHex(key));
      const place = toHex(valueKey(key, head.leaf));
      const value = head.record === undefined ? stored.get(place) : toHex(head.record);
      const valueBytes = head.length - key.length;
      const kept = value?.length === (blockBytes(value) + valueBytes) * 2 ? value : 'no value of its length';
      // With many candidates beside it, a small one gets a row of its own too.
      if (head.record !== undefined) assert.ok(valueBytes <= inlineValueBytesMax && value === kept);
      else if (equalBytes(head.leaf, grantZero)) assert.ok(valueBytes > inlineValueBytesMax);
      if (head.record === undefined) expected.set(place, kept);
    }
  }
  return new Map([...expected].sort());
}
