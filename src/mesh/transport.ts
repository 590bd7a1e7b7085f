import { errors } from 'undici';
import { GkvError, type ErrorCode, type ErrorDetails } from '../core/errors.ts';
import { frameBytesMax, type FrameService } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { type Links } from './ports.ts';
import { proofCodes } from './proofCodes.ts';
import { Connections, type PeerTls } from './connections.ts';
import { sealField, stopCodes } from './stopCodes.ts';
import { tlsError } from './tlsError.ts';

/** Time for one request, in ms, to be sent and answered: headers, then each part of the body. */
const answerMsMax = 20_000;
/** Of an error that a peer sends, this much is read. */
const errorBytesMax = 16_384;

/** Asks peers over connections that are kept alive between requests; all of them are TLS if `tls` is given, and none is otherwise. */
export class Transport implements AsyncDisposable, Links {
  readonly #connections: Connections;
  readonly #scheme: 'http' | 'https';
  readonly #answerMsMax: number;

  constructor(msMax = answerMsMax, tls?: PeerTls) {
    this.#answerMsMax = msMax;
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#connections = new Connections(msMax, tls);
  }

  /** A link to the mesh port of a peer. */
  link(address: HostPort, service: FrameService): PeerLink {
    const origin = `${this.#scheme}://${hostPortText(address)}`;
    return { ask: (frame, signal) => this.#ask(origin, `/${service}`, frame, signal) };
  }

  /** For connections from now on; those that there are end with what they have under way. */
  renew(tls: PeerTls): void {
    this.#connections.renew(tls);
  }

  async #ask(origin: string, path: string, frame: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    try {
      const { statusCode, bytes } = await this.#connections.use(async (agent) => {
        const { statusCode, body } = await agent.request({
          origin,
          path,
          method: 'POST',
          headers: { 'content-type': 'application/octet-stream' },
          body: frame,
          signal,
        });
        return { statusCode, bytes: new Uint8Array(await body.arrayBuffer()) };
      });
      if (statusCode === 200) return bytes;
      throw refusal(origin, statusCode, bytes);
    } catch (error) {
      throw asGkvError(origin, error, signal, this.#answerMsMax);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
  }
}

/** What a peer says of us, and of what we have proved to it. */
const toldCodes = ['mesh_mismatch', 'wrong_peer', ...stopCodes, ...proofCodes] as const;

/** What a peer's own error tells us: what it says of us is told on, all else is its trouble or its protocol. */
function refusal(origin: string, status: number, bytes: Uint8Array): GkvError {
  const { code, message, details } = parseError(bytes);
  const told = toldCodes.find((each) => each === code);
  const ours: ErrorCode = told ?? (status === 503 || status === 507 ? 'peer_unreachable' : 'peer_protocol');
  const doubt = code === 'unknown_path' ? `; ${isItAMeshPort}` : '';
  return new GkvError(ours, `peer ${origin} answered ${status} ${code}: ${message}${doubt}`, { details });
}

const isItAMeshPort = 'is this the mesh port of a gkvmesh instance?';

function parseError(bytes: Uint8Array): { code: string; message: string; details: ErrorDetails } {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes.subarray(0, errorBytesMax)).toString());
    const error = isRecord(parsed) && isRecord(parsed['error']) ? parsed['error'] : {};
    const seal = error[sealField];
    return {
      code: text(error['code']),
      message: text(error['message']),
      details: typeof seal === 'string' ? { [sealField]: text(seal) } : {},
    };
  } catch {
    return { code: 'unknown', message: `its answer is no gkvmesh error; ${isItAMeshPort}`, details: {} };
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 300) : 'unknown';
}

function asGkvError(origin: string, error: unknown, signal: AbortSignal, msMax: number): unknown {
  if (error instanceof GkvError || signal.aborted) return error;
  const timedOut = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
  if (timedOut) return new GkvError('peer_timeout', `peer ${origin} did not answer within ${msMax} ms`, { cause: error });
  if (error instanceof errors.ResponseExceededMaxSizeError) {
    return new GkvError('peer_protocol', `peer ${origin} sent more than ${frameBytesMax} bytes`, { cause: error });
  }
  if (error instanceof errors.HTTPParserError) return new GkvError('peer_protocol', `peer ${origin} does not speak HTTP`, { cause: error });
  const why = error instanceof Error ? error.message : String(error);
  return tlsError(origin, error) ?? new GkvError('peer_unreachable', `peer ${origin} cannot be reached: ${why}`, { cause: error });
}
