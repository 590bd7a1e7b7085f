/** Vectors of feeds: what stands in their frames. */
import { be, cat, cborBytes, hex, hmac, sha256, text, u16, u64, u8 } from './bytes.ts';
import { accepted, clusterId, meshId, meshKey, nonce, version } from './samples.ts';

const otherId = hex('ffeeddccbbaa99887766554433221100');
const position = cat(hex('000000000000002a0001'), u16(7));

/** count | clusters, rising: part 6, base 16, count | slots, rising: slot, stamp. */
const frontier = cat(
  u16(2),
  cat(hex('000000000001'), version, u16(0)),
  cat(hex('a1b2c3d4e5f6'), accepted, u16(2), u16(0), version, u16(255), accepted),
);

/** progress | count | openings: id, began. */
const lineage = cat(u64(1_234), u8(2), hex('0102030405060708'), u64(0), hex('1112131415161718'), u64(1_000));

const epoch = hex('a0a1a2a3a4a5a6a7');

/** Of a member, one whose record cannot be read, and one that was removed by the removal "5d02", by rising cluster ids: SHA-256 of them, its first 8 bytes. */
const epochOfThree = sha256(
  text('gkvmesh/epoch/v1\0'),
  cat(clusterId, u8(0)),
  cat(Buffer.alloc(16, 0xee), u8(1), sha256(text('5d02'))),
  cat(otherId, u8(0)),
).subarray(0, 8);

/** wall clock | floor | lineage | epoch, count, members reached | count | members: cluster id, incarnation, low, epoch, is level. */
const statement = cat(
  u64(1_700_000_000_789),
  cat(be(1_699_999_200_000, 6), Buffer.alloc(10)),
  lineage,
  cat(epoch, u16(2), clusterId, otherId),
  u16(2),
  cat(clusterId, u64(1), version, epoch, u8(1)),
  cat(otherId, u64(0xffff_ffff), accepted, epoch, u8(0)),
);

/** wait | incarnation, position | frontier | statement. */
const ask = cat(u16(10_000), u64(3), position, frontier, statement);

/** flags | version | keyLen, key | valueLen, value | signature block: the write "hi" = "yo". */
const write = cat(u8(0), version, u16(2), text('hi'), be(2, 4), text('yo'), u16(0));

/** incarnation, position | ends | frontier where it ends, or rows behind it | statement | writes. */
const pageAtEnd = cat(u64(3), position, u8(1), frontier, statement, write);
const pageBefore = cat(u64(3), position, u8(0), statement, write);
const pageCounted = cat(u64(3), position, u8(2), u16(700), statement, write);

/** Behind the question of an open mesh: incarnation, number of the last record that is here. */
const askGranted = cat(ask, u64(3), u64(7));

/** incarnation, position | ends | statement | number of the last record | count | length, kind and record, which are not looked into here. */
const pageOfRecords = cat(u64(3), position, u8(0), statement, u64(9), u16(2), be(2, 4), text('\x01a'), be(3, 4), text('\x02bc'));

/** flags: leaf | version | leaf grant | key | value | length of the block | siblings, sides | sibling | signature. */
const writeGranted = cat(
  cat(u8(8), version, Buffer.alloc(32, 0xab), u16(2), text('hi'), be(2, 4), text('yo')),
  cat(u16(98), u8(1), u8(1), Buffer.alloc(32, 0xcd), Buffer.alloc(64, 0xef)),
);
const pageGranted = cat(u64(3), position, u8(1), frontier, statement, u64(9), u16(0), writeGranted);

function requestFrame(body: Buffer): Buffer {
  const fields = [meshId, clusterId, nonce, Buffer.alloc(16), body].map(cborBytes);
  const payload = cat(u8(0x86), u8(1), ...fields);
  return cat(hmac(meshKey, text('gkvmesh/feed/request/v1\0'), payload).subarray(0, 16), payload);
}

function answerFrame(request: Buffer, body: Buffer): Buffer {
  const payload = cat(u8(0x83), u8(1), cborBytes(clusterId), cborBytes(body));
  return cat(hmac(meshKey, text('gkvmesh/feed/answer/v1\0'), request.subarray(0, 16), payload).subarray(0, 16), payload);
}

export function meshVectors(): object {
  const request = requestFrame(ask);
  const cursor = cat(u64(3), position);
  const open = { frontier, statement, ask, pageAtEnd, pageBefore, pageCounted, request, answer: answerFrame(request, pageAtEnd), cursor };
  const named = { ...open, epochOfThree, askGranted, pageOfRecords, pageGranted };
  return Object.fromEntries(Object.entries(named).map(([name, bytes]) => [name, bytes.toString('hex')]));
}
