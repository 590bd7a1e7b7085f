import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import {
  decodeAcceptance,
  decodeSessionAsk,
  decodeWho,
  encodeAcceptance,
  encodeSessionAsk,
  encodeWho,
  type Credentials,
} from '../../src/mesh/handshake.ts';
import { decodeEnvelope, Session } from '../../src/mesh/session.ts';
import { edited, edits } from '../core/edits.ts';
import { assertNothingElse, assertStrict, refuses } from '../core/strict.ts';
import { DenseDigests } from '../aae/world.ts';
import { bytesOf, grants, mesh } from './proofs.ts';

const fuzzRuns = Number(process.env['GKVMESH_TEST_FUZZ'] ?? 1_000);
const digests = new DenseDigests(4, mesh.id);
const clusterId = new Uint8Array(16).fill(1);
const bytes32 = (value: number): Uint8Array => new Uint8Array(32).fill(value);
const credentials: Credentials = { agreement: bytes32(1), key: bytes32(2), leaf: bytes32(3) };
const answerer = { clusterId: new Uint8Array(16).fill(2), incarnation: 4, boot: new Uint8Array(16).fill(5) };
const signed = { signature: new Uint8Array(64).fill(6), records: bytesOf(mesh.root, grants.a) };

const codecs = [
  {
    what: 'a question who is there',
    sample: encodeSessionAsk({ kind: 'who' }),
    again: (bytes: Uint8Array) => encodeSessionAsk(decodeSessionAsk(bytes, clusterId)),
  },
  {
    what: 'an opening',
    sample: encodeSessionAsk({ kind: 'open', part: { asker: { clusterId, incarnation: 3, ...credentials }, answerer }, ...signed }),
    again: (bytes: Uint8Array) => encodeSessionAsk(decodeSessionAsk(bytes, clusterId)),
  },
  { what: 'who answers', sample: encodeWho(answerer), again: (bytes: Uint8Array) => encodeWho(decodeWho(bytes, clusterId)) },
  {
    what: 'an acceptance',
    sample: encodeAcceptance({ part: { sessionId: new Uint8Array(16).fill(7), ...credentials }, ...signed }),
    again: (bytes: Uint8Array) => encodeAcceptance(decodeAcceptance(bytes)),
  },
];

describe('M33: codecs of proofs', () => {
  for (const { what, sample, again } of codecs) {
    it(`${what}: comes back as it went; every truncation and extra byte, and random bytes, are refused`, () => {
      assert.deepEqual(Buffer.from(again(sample)), Buffer.from(sample));
      assertStrict(again, sample);
      assertNothingElse(again);
    });

    it(`${what}: whatever is done to it, it is refused, or has one encoding`, () => {
      fc.assert(
        fc.property(fc.array(edits, { minLength: 1, maxLength: 4 }), (all) => {
          const bytes = all.reduce(edited, Buffer.from(sample));
          if (!refuses(again, bytes)) assert.deepEqual(Buffer.from(again(bytes)), bytes);
        }),
        { numRuns: fuzzRuns },
      );
    });
  }

  it('M34: whatever is done to what goes under a session, it is refused, or was not changed', () => {
    const open = (): Session => {
      const terms = { peer: { clusterId, incarnation: 1, ...credentials }, agreement: bytes32(1), ownLeaf: bytes32(4) };
      return new Session({ id: new Uint8Array(16), ...terms, keys: { request: bytes32(8), answer: bytes32(9) }, beganMs: 0 });
    };
    const sample = Buffer.from(open().seal('feed', Buffer.from('a frame of some bytes')).bytes);
    fc.assert(
      fc.property(fc.array(edits, { minLength: 1, maxLength: 3 }), (all) => {
        const bytes = all.reduce(edited, sample);
        try {
          const envelope = decodeEnvelope(bytes, digests);
          open().take('feed', envelope);
          assert.deepEqual(bytes, sample);
        } catch (error) {
          if (!hasCode(error, 'malformed', 'peer_unproven')) throw error;
        }
      }),
      { numRuns: fuzzRuns },
    );
  });
});
