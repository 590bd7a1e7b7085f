/** The library's public names. */
export {
  Client,
  type BatchOp,
  type DeleteOptions,
  type JsonObject,
  type ListPage,
  type ListPattern,
  type ListQuery,
  type ReadOptions,
  type RequestOptions,
  type SetAnswer,
  type SetOptions,
  type ValueAnswer,
} from './client/client.ts';
export { Signer, type SignedWrite, type SignerOptions, type StatementOp } from './client/signer.ts';
export { SigningKey } from './crypto/ed25519.ts';
export { type ClientTls } from './client/tls.ts';
export { GkvError, type ErrorCode, type ErrorDetails } from './core/errors.ts';
