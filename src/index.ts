/** The library's public names. */
export { Client, type BatchOp, type ListPage, type ListQuery, type SetAnswer, type ValueAnswer } from './client/client.ts';
export { type ClientTls } from './client/tls.ts';
export { GkvError, type ErrorCode, type ErrorDetails } from './core/errors.ts';
