import { constants } from 'node:crypto';
import { type TlsOptions } from 'node:tls';
import { type Clock, type Log } from '../core/ports.ts';
import { tlsFailure } from '../core/tlsFailure.ts';
import { fingerprint, watchFiles } from './fileChange.ts';
import { type ListenTls } from './listenTls.ts';
import { readTls, type TlsFiles, type TlsMaterial, type TlsPortName } from './tlsFiles.ts';

/** How often it is looked whether the files are others. */
const lookMs = 5_000;
const dayMs = 86_400_000;
/** From so long before the end of a certificate it is warned of, once a day. */
const warnMs = 14 * dayMs;
/** Connections that are refused are logged once in this time at the most. */
const refusalLogMs = 10_000;

/**
 * The certificate, key and CAs of a port, kept up to date: the files are read again when any of them is another or was changed. It
 * follows symbolic links, so it sees how Kubernetes and cert-manager replace a whole directory. Files that are wrong
 * change nothing: what was right before stays, and an error is logged.
 */
export class TlsPort implements ListenTls, AsyncDisposable {
  readonly port: TlsPortName;
  readonly #files: TlsFiles;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #listeners: ((material: TlsMaterial) => void)[] = [];
  #material: TlsMaterial;
  /** Why the files, as they are now, were not taken. */
  #failure: { readonly error: unknown; isLogged: boolean } | undefined;
  #warnAtMs = -Infinity;
  #refusals = 0;
  #refusalLogAtMs = -Infinity;

  private constructor(files: TlsFiles, print: string, clock: Clock, log: Log) {
    this.port = files.port;
    this.#files = files;
    this.#clock = clock;
    this.#log = log;
    this.#material = readTls(files, clock.now());
    this.#warnOfEnd();
    const { signal } = this.#stop;
    this.#running = watchFiles({ paths: pathsOf(files), print, everyMs: lookMs, clock, signal }, (isOther) => {
      if (isOther) this.#renew();
      else this.#logFailure();
      this.#warnOfEnd();
    });
  }

  /** Reads the files, and watches them until disposed of. Errors: those of readTls. */
  static async open(files: TlsFiles, clock: Clock, log: Log): Promise<TlsPort> {
    return new TlsPort(files, await fingerprint(pathsOf(files)), clock, log);
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  get options(): TlsOptions {
    const { cert, key, ca } = this.#material;
    return {
      cert,
      key,
      ca: [...ca],
      requestCert: ca.length > 0,
      rejectUnauthorized: true,
      minVersion: this.port === 'mesh' ? 'TLSv1.3' : 'TLSv1.2', // between regions both ends are ours
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    };
  }

  /** How long until the first certificate of the chain ends; less than 0 after that. */
  endsInMs(): number {
    return this.#material.endsAtMs - this.#clock.now();
  }

  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.push(listener);
  }

  refused(error: NodeJS.ErrnoException, from: string | undefined): void {
    if (error.code === 'ECONNRESET') return; // it went away by itself, as probes of ports do
    this.#refusals += 1;
    const now = this.#clock.monotonic();
    if (now < this.#refusalLogAtMs) return;
    this.#refusalLogAtMs = now + refusalLogMs;
    const why = tlsFailure(error).reason;
    this.#log.warn({ port: this.port, from, code: error.code, why, refusals: this.#refusals }, 'a TLS connection was refused');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #renew(): void {
    try {
      this.#material = readTls(this.#files, this.#clock.now());
      this.#failure = undefined;
      this.#warnAtMs = -Infinity;
      for (const listener of this.#listeners) listener(this.#material);
      this.#log.info({ port: this.port, endsAt: new Date(this.#material.endsAtMs) }, 'new TLS files are in use');
    } catch (error) {
      this.#failure = { error, isLogged: false };
    }
  }

  /** Only of what has stayed wrong: a certificate may be replaced a moment before its key. */
  #logFailure(): void {
    if (this.#failure === undefined || this.#failure.isLogged) return;
    this.#failure.isLogged = true;
    this.#log.error({ port: this.port, err: this.#failure.error }, 'new TLS files are wrong; the ones before stay in use');
  }

  #warnOfEnd(): void {
    const leftMs = this.endsInMs();
    const now = this.#clock.now();
    if (leftMs >= warnMs || now < this.#warnAtMs) return;
    this.#warnAtMs = now + dayMs;
    const fields = { port: this.port, file: this.#files.cert.path, endsAt: new Date(this.#material.endsAtMs) };
    if (leftMs > 0) this.#log.warn(fields, 'a TLS certificate ends soon');
    else this.#log.error(fields, 'a TLS certificate has ended: nobody can connect');
  }
}

function pathsOf({ cert, key, ca }: TlsFiles): string[] {
  return [cert, key, ...(ca === undefined ? [] : [ca])].map(({ path }) => path);
}
