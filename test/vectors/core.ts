/** Vectors of what is signed, hashed or compared. */
import { be, cat, hex, sha256, text, u16, u32, u64, u8 } from './bytes.ts';
import { accepted, bodyOf, clusterId, leaf, meshId, meshKey, statements, version, writeIdOf, type Statement } from './samples.ts';

/** 1 + len·2^64 + h·2^128 mod 2^384, as 48 bytes little-endian; worked out as one number. */
function elementOf(write: Statement): Buffer {
  const h = BigInt(
    `0x${Buffer.from(sha256(meshKey, text('gkvmesh/el/v1\0'), write.version, writeIdOf(write)))
      .reverse()
      .toString('hex')}`,
  );
  const length = BigInt(write.key.length + write.value.length);
  return be((1n + (length << 64n) + (h << 128n)) % (1n << 384n), 48).reverse();
}

/** 0 unless 256 divides the first 8 bytes of the keyed digest; else 1, and how often 32 divides what that leaves. */
function boundLevelOf(key: Buffer): number {
  let word = BigInt(`0x${sha256(meshKey, text('gkvmesh/br/v1\0'), key).subarray(0, 8).toString('hex')}`);
  if (word % 256n !== 0n) return 0;
  word /= 256n;
  let level = 1;
  while (word % 32n === 0n && level < 12) {
    word /= 32n;
    level += 1;
  }
  return level;
}

/** The first key of "k0", "k1", … at each level. */
function boundLevels(): Record<string, number> {
  const found = new Map<number, string>();
  for (let i = 0; found.size < 4; i += 1) {
    const level = boundLevelOf(text(`k${i}`));
    if (!found.has(level)) found.set(level, `k${i}`);
  }
  return Object.fromEntries([...found].map(([level, key]) => [text(key).toString('hex'), level]));
}

/** format | commit stamp, filled in by the store | count | heads: flags | place | version | id | length | accepted? | expiresAt? | leaf? | commit? | record? */
function entryRecord(): Buffer {
  const { expiring, tombstone } = statements;
  const placed = cat(
    u8(2 | 4 | 8 | 16 | 32),
    u16(3),
    version,
    writeIdOf(expiring),
    u32(18),
    accepted,
    u64(expiring.expiresAt),
    leaf,
    hex('00000000000000050000'),
    inline(expiring),
  );
  const fresh = cat(u8(1 | 32), u16(9), version, writeIdOf(tombstone), u32(2), inline(tombstone));
  const greatestFirst = Buffer.compare(writeIdOf(expiring), writeIdOf(tombstone)) > 0 ? [placed, fresh] : [fresh, placed];
  return cat(u8(2), Buffer.alloc(10), u8(2), ...greatestFirst);
}

/** The same of one head whose value of 255 bytes lies in a row of its own. */
function entryOfLargeValue(): Buffer {
  return cat(u8(2), Buffer.alloc(10), u8(1), u8(0), u16(9), version, writeIdOf(statements.set), u32(2 + 255));
}

/** Length u16 | signature block, empty but for its length | value. */
function inline({ value }: Statement): Buffer {
  return cat(u16(2 + value.length), u16(0), value);
}

export function coreVectors(): object {
  const writes = Object.entries(statements).map(([name, write]) => [
    name,
    { body: bodyOf(write).toString('hex'), writeId: writeIdOf(write).toString('hex'), element: elementOf(write).toString('hex') },
  ]);
  return {
    meshId: meshId.toString('hex'),
    meshKey: meshKey.toString('hex'),
    openMesh: { id: sha256(text('gkvmesh/open/id/v1\0')).toString('hex'), key: sha256(text('gkvmesh/open/key/v1\0')).toString('hex') },
    stamp: version.toString('hex'),
    instance: cat(sha256(text('gkvmesh/cluster/v1\0'), clusterId, u32(2)).subarray(0, 6), u16(0x0103)).toString('hex'),
    writes: Object.fromEntries(writes) as object,
    boundLevels: boundLevels(),
    entry: entryRecord().toString('hex'),
    entryOfLargeValue: entryOfLargeValue().toString('hex'),
  };
}
