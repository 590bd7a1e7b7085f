import { readFileSync } from 'node:fs';
import { decodeBody, encodeBody, parseWriteId } from '../../src/core/write.ts';
import { type Signatures } from '../../src/crypto/ed25519.ts';
import { writeIdOf } from '../../src/crypto/mesh.ts';
import { grantLayout } from '../../src/grant/grant.ts';
import { decodeRecord, encodeRecord, signedMessage, type Layout } from '../../src/grant/record.ts';
import { revocationLayout } from '../../src/grant/revocation.ts';
import { rootLayout } from '../../src/grant/root.ts';
import { batchMessage, encodeSignatureBlock } from '../../src/grant/signatureBlock.ts';
import { batchIds, pairs } from '../vectors/grants.ts';
import { decodeSignatureBlock, rootOfPath } from './plainBlocks.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/grants.json', import.meta.url), 'utf8')) as Record<string, string>; // vectors.test.ts checks it

const bytesOf = (name: string): Buffer => Buffer.from(vectors[name] ?? '', 'hex');
export const meshId = bytesOf('meshId');

/** A kind of bytes that come from outside, with some that are right. */
export interface Parser {
  readonly what: string;
  readonly samples: readonly Buffer[];
  /** What is parsed, encoded again; throws where it is refused. */
  readonly again: (bytes: Uint8Array) => Uint8Array;
  /** Whether every signature in it holds. */
  readonly holds: (bytes: Uint8Array, signatures: Signatures) => Promise<boolean>;
}

function parserOf<Body>(layout: Layout<Body>, names: readonly string[]): Parser {
  return {
    what: layout.what,
    samples: names.map(bytesOf),
    again: (bytes) => encodeRecord(layout, decodeRecord(layout, meshId, bytes)),
    holds: async (bytes, signatures) => {
      const record = decodeRecord(layout, meshId, bytes);
      const message = signedMessage(layout, meshId, record.id);
      for (const { key, signature } of record.signatures) if (!(await signatures.verify(key, message, signature))) return false;
      return true;
    },
  };
}

const blocks: Parser = {
  what: 'signature block',
  samples: ['firstOfBatch', 'fourthOfBatch', 'fifthOfBatch', 'singleBlock'].map(bytesOf),
  again: (bytes) => {
    const block = decodeSignatureBlock(bytes);
    return block === undefined ? new Uint8Array(2) : encodeSignatureBlock(block);
  },
  holds: async (bytes, signatures) => {
    const block = decodeSignatureBlock(bytes);
    if (block === undefined) return false;
    const writes = [...batchIds, bytesOf('writeId')].map((id) => parseWriteId(id));
    for (const id of writes) {
      const message = batchMessage(meshId, rootOfPath(id, block.path));
      if (await signatures.verify(Buffer.from(writerKey), message, block.signature)) return true;
    }
    return false;
  },
};

/** Under the signature that its client gave it. */
const bodies: Parser = {
  what: 'signed write body',
  samples: [bytesOf('clientBody')],
  again: (bytes) => encodeBody(decodeBody(bytes)),
  holds: async (bytes, signatures) => {
    const block = decodeSignatureBlock(bytesOf('clientBlock'));
    const root = rootOfPath(writeIdOf(meshId, decodeBody(bytes)), []);
    return block !== undefined && signatures.verify(Buffer.from(writerKey), batchMessage(meshId, root), block.signature);
  },
};

const writerKey = pairs.writer.publicKey;

export const parsers: readonly Parser[] = [
  parserOf(rootLayout, ['firstRoot', 'laterRoot']),
  parserOf(grantLayout, ['rootGrant', 'delegated']),
  parserOf(revocationLayout, ['revocation', 'rootRevocation']),
  blocks,
  bodies,
];
