/** Vectors of what a cluster stores and what travels between clusters. */
import { cat, cborBytes, hex, hmac, sha256, text, u16, u32, u64, u8 } from './bytes.ts';
import { accepted, clusterId, meshId, meshKey, nonce, statements, version, writeIdOf } from './samples.ts';

/** format | lease | closed | batch | count | results: status, bit 7 where the stamp is the successor of the one before | stamp otherwise. */
function slotRecord(): Buffer {
  const results = cat(u8(0), version, u8(0x80), u8(3), accepted);
  return cat(u8(1), u64(5), accepted, u64(77), u16(3), results);
}

/** Of an open mesh: flags | version | accepted? | expiresAt? | keyLen, key | valueLen, value | signature block. */
function wireWrites(): Buffer {
  const { set, expiring, tombstone } = statements;
  const fields = (key: Buffer, value: Buffer): Buffer => cat(u16(key.length), key, u32(value.length), value, u16(0));
  return cat(
    cat(u8(0), version, fields(set.key, set.value)),
    cat(u8(2 | 4), version, accepted, u64(expiring.expiresAt), fields(expiring.key, expiring.value)),
    cat(u8(1), version, fields(tombstone.key, tombstone.value)),
  );
}

const fingerprint = (sum: Buffer): Buffer => hmac(meshKey, nonce, sum).subarray(0, 8);

/** One byte for both lengths up to 14 each, else 0xf0 | shared u8 | rest u16; then the rest. */
function edge(shared: number, rest: string): Buffer {
  const short = shared <= 14 && rest.length <= 14;
  return cat(short ? u8(shared * 16 + rest.length) : cat(u8(0xf0), u8(shared), u16(rest.length)), text(rest));
}

const pastLast = u8(0xff);

/** scope | closing | spans | wants | fetch | writes. */
function askBody(): Buffer {
  const scope = cat(edge(0, 'a/'), edge(1, '0'));
  const parts = cat(edge(2, 'm'), fingerprint(Buffer.alloc(48)), edge(1, '0'), fingerprint(Buffer.alloc(48, 1)));
  const span = cat(edge(1, '/'), u16(2), parts);
  const salted = sha256(meshKey, nonce, writeIdOf(statements.set)).subarray(0, 6);
  const want = cat(edge(1, '/'), edge(2, 'm'), u16(1), salted);
  const fetch = cat(edge(3, ''), pastLast);
  const writes = wireWrites();
  return cat(scope, u8(1), u16(1), span, u16(1), want, u16(1), fetch, u32(writes.length), writes);
}

/** looked | spans | ids | offers | gaps | writes | wantsDone | fetchNext | applied | parked | fingerprint of the scope. */
function replyBody(): Buffer {
  const ids = cat(edge(0, 'a'), edge(1, 'b'.repeat(300)), u16(2), hex('010203040506'), hex('111213141516'));
  const offer = cat(edge(255, ''), pastLast);
  const scope = hmac(meshKey, nonce, Buffer.alloc(48)).subarray(0, 16);
  const lists = cat(u16(0), u16(1), ids, u16(1), offer, u16(0));
  return cat(u32(1), lists, u32(0), u32(4), edge(255, 'c'), u32(5), u32(6), u32(16), scope);
}

/** mac 16 | CBOR [1, mesh id, cluster id, nonce, floor, body]. */
function requestFrame(body: Buffer): Buffer {
  const payload = cat(
    u8(0x86),
    u8(1),
    cborBytes(meshId),
    cborBytes(clusterId),
    cborBytes(nonce),
    cborBytes(Buffer.alloc(16)),
    cborBytes(body),
  );
  return cat(hmac(meshKey, text('gkvmesh/exchange/request/v1\0'), payload).subarray(0, 16), payload);
}

/** mac 16, over the request's mac too | CBOR [1, cluster id, body]. */
function answerFrame(request: Buffer, body: Buffer): Buffer {
  const payload = cat(u8(0x83), u8(1), cborBytes(clusterId), cborBytes(body));
  return cat(hmac(meshKey, text('gkvmesh/exchange/answer/v1\0'), request.subarray(0, 16), payload).subarray(0, 16), payload);
}

export function recordVectors(): object {
  const request = requestFrame(askBody());
  const named = {
    slot: slotRecord(),
    wireWrites: wireWrites(),
    treeState: cat(u8(1), u8(2), u8(0)),
    treeStateBuilding: cat(u8(1), u8(2), u8(1), u16(6), text('cursor')),
    boundChanges: cat(cat(u8(0), u8(1), u16(1), text('a')), cat(u8(1), u8(2), u16(2), text('bc')), cat(u8(2), u8(3), u16(0))),
    fingerprintOfZero: fingerprint(Buffer.alloc(48)),
    ask: askBody(),
    reply: replyBody(),
    request,
    answer: answerFrame(request, replyBody()),
  };
  return Object.fromEntries(Object.entries(named).map(([name, bytes]) => [name, bytes.toString('hex')]));
}
