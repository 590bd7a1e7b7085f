import { type Clock, type Log } from '../core/ports.ts';
import { type TlsFiles, type TlsPortName } from './tlsFiles.ts';
import { TlsPort } from './tlsPort.ts';

/** What speaks TLS of an instance's two ports. */
export class TlsPorts implements AsyncDisposable {
  readonly api: TlsPort | undefined;
  readonly mesh: TlsPort | undefined;

  private constructor(api: TlsPort | undefined, mesh: TlsPort | undefined) {
    this.api = api;
    this.mesh = mesh;
  }

  /** Errors: `bad_config`, as of readTls. */
  static async open({ api, mesh }: Readonly<Record<TlsPortName, TlsFiles | undefined>>, clock: Clock, log: Log): Promise<TlsPorts> {
    const apiPort = api === undefined ? undefined : await TlsPort.open(api, clock, log);
    try {
      return new TlsPorts(apiPort, mesh === undefined ? undefined : await TlsPort.open(mesh, clock, log));
    } catch (error) {
      await apiPort?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  endsInMs(): { port: TlsPortName; ms: number }[] {
    return this.#both().map((each) => ({ port: each.port, ms: each.endsInMs() }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#both().map((each) => each[Symbol.asyncDispose]()));
  }

  #both(): TlsPort[] {
    return [this.api, this.mesh].filter((each) => each !== undefined);
  }
}
