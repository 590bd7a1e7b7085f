import { pino } from 'pino';
import { GkvError } from '../core/errors.ts';
import { hostPortText } from '../core/hostPort.ts';
import { type Log } from '../core/ports.ts';
import { type JoinProgress } from '../mesh/bootstrap.ts';
import { type GrantedStart, type ServerConfig } from './config.ts';
import { openInstance, type Instance, type InstanceConfig } from './instance.ts';
import { listen, type Listener } from './listen.ts';
import { logTarget } from './logTarget.ts';
import { openStore, type OpenStore } from './openStore.ts';
import { realClock } from './real.ts';
import { PortFiles } from './portFiles.ts';

export interface RunningServer extends AsyncDisposable {
  readonly apiUrl: string;
  readonly meshAddress: string;
  readonly clusterId: string;
  readonly meshId: string;
  /** HOST:PORT of the member from which an empty store is filled; undefined: nothing is missing. */
  readonly donor: string | undefined;
  /** Resolves once it is ready. Errors: `mesh_mismatch`, `peer_protocol`, `bad_config`, `not_advertised`; it must be disposed of then. */
  readonly ready: Promise<void>;
}

/**
 * The composition root: puts one instance together and serves until disposed of, which takes no more, finishes, commits and closes. `onProgress` is told
 * while it joins a mesh.
 */
export async function start(
  config: ServerConfig,
  onProgress: (progress: JoinProgress) => void,
  granted?: GrantedStart,
): Promise<RunningServer> {
  const log = pino({ level: config.logLevel }, logTarget);
  if (config.insecurePlaintext) log.warn({}, 'started with --insecure-plaintext: whoever reaches the ports may read and write everything');
  const files = await PortFiles.open(config, realClock, log);
  try {
    const opened = await openStore(config.store, log);
    try {
      return await serveOn(opened, files, { ...config, granted }, log, onProgress);
    } catch (error) {
      await opened.store[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

async function serveOn(
  opened: OpenStore,
  files: PortFiles,
  config: InstanceConfig,
  log: Log,
  onProgress: (progress: JoinProgress) => void,
): Promise<RunningServer> {
  const instance = await openInstance(opened, config, log, files);
  const { api: apiListener, mesh: meshListener } = await listenOnBoth(instance, files, config).catch(async (error: unknown) => {
    await instance.close();
    throw error;
  });
  const { clusterId, meshId } = instance.apps.identity;
  const addresses = { api: apiListener.address, mesh: meshListener.address };
  const ready = instance.begin({ host: config.meshListen.host, port: meshListener.port }, onProgress).then(() => {
    log.info({ ...addresses, clusterId, meshId, region: config.region }, 'ready');
  });
  ready.catch(() => undefined); // whoever awaits it is told
  return {
    apiUrl: `${files.tls.api === undefined ? 'http' : 'https'}://${apiListener.address}`,
    meshAddress: meshListener.address,
    clusterId,
    meshId,
    donor: instance.donor === undefined ? undefined : hostPortText(instance.donor),
    ready,
    [Symbol.asyncDispose]: async () => {
      await instance.drain(config.drainMs);
      instance.stopping.abort(new GkvError('unavailable', 'this instance is stopping'));
      await apiListener[Symbol.asyncDispose]();
      await instance.handOver(); // peers are served meanwhile: what was acknowledged last is in their answers
      instance.leaving.abort();
      await meshListener[Symbol.asyncDispose]();
      await instance.close();
      await opened.store[Symbol.asyncDispose]();
      await files[Symbol.asyncDispose]();
      log.info({}, 'stopped');
    },
  };
}

async function listenOnBoth({ apps }: Instance, { tls }: PortFiles, config: ServerConfig): Promise<{ api: Listener; mesh: Listener }> {
  const mesh = await listen(apps.mesh, config.meshListen, undefined, tls.mesh);
  try {
    return { api: await listen(apps.api, config.listen, undefined, tls.api), mesh };
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}
