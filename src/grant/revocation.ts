import { type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { digestBytes } from '../core/write.ts';
import { faultOfSigner, isZero } from './grant.ts';
import { keyBytes, readFormat, type Layout, type Signed } from './record.ts';

/** The end of a grant, for good and from its beginning: it says no time. */
export interface RevocationBody {
  /** Id of the grant. */
  readonly target: Uint8Array;
  /** Key of who ends it; zero for the root. */
  readonly signer: Uint8Array;
  /** Version of the root document whose keys sign it; 0 where a signer is named. */
  readonly rootVersion: number;
}

export type Revocation = Signed<RevocationBody>;

/** format u8=1 | target 32 | signer 32 | root version u32. */
export const revocationLayout: Layout<RevocationBody> = {
  what: 'revocation',
  idLabel: 'gkvmesh/revocation/v1\0',
  signLabel: 'gkvmesh/revocation/sign/v1\0',
  idScope: 'mesh',
  writeBody,
  readBody,
  faultOfSigners: ({ signer }, keys) => (isZero(signer) ? undefined : faultOfSigner(signer, keys)),
};

function writeBody(writer: ByteWriter, { target, signer, rootVersion }: RevocationBody): void {
  writer.u8(1);
  writer.bytes(target);
  writer.bytes(signer);
  writer.u32(rootVersion);
}

function readBody(reader: ByteReader): RevocationBody {
  readFormat(reader);
  const target = reader.bytes(digestBytes);
  const signer = reader.bytes(keyBytes);
  const rootVersion = reader.u32();
  if (isZero(signer) !== rootVersion > 0) throw reader.fail(`root version ${rootVersion} ${rootVersion > 0 ? 'with' : 'without'} a signer`);
  return { target, signer, rootVersion };
}
