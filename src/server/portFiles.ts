import { type Clock, type Log } from '../core/ports.ts';
import { type ServerConfig } from './config.ts';
import { TlsPorts } from './tlsPorts.ts';
import { TokenFile } from './tokenFile.ts';

/** What guards the ports, kept up to date from files. */
export class PortFiles implements AsyncDisposable {
  readonly tls: TlsPorts;
  /** Undefined: callers of the API need no token. */
  readonly tokens: TokenFile | undefined;

  private constructor(tls: TlsPorts, tokens: TokenFile | undefined) {
    this.tls = tls;
    this.tokens = tokens;
  }

  /** Errors: `bad_config`. */
  static async open({ tls, tokens }: Pick<ServerConfig, 'tls' | 'tokens'>, clock: Clock, log: Log): Promise<PortFiles> {
    const ports = await TlsPorts.open(tls, clock, log);
    try {
      return new PortFiles(ports, tokens === undefined ? undefined : await TokenFile.open(tokens, clock, log));
    } catch (error) {
      await ports[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.tls[Symbol.asyncDispose](), this.tokens?.[Symbol.asyncDispose]()]);
  }
}
