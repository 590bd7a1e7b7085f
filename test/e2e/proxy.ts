/**
 * Stands between regions: a TCP listener in front of each region's mesh port, and a link for each directed pair. A member has one address
 * for all, so who calls is read from the first request of a connection: a frame names its sender's cluster at a fixed place.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { uuidText } from '../../src/core/uuid.ts';
import { Link } from './link.ts';

/** In a frame: mac 16 | CBOR array 1, version 1, mesh id 2 + 32, and 1 before the cluster id. */
const clusterIdAt = 53;
const clusterIdBytes = 16;
const meshIdAt = 18;
/** How the mesh id begins in CBOR: 32 bytes. */
const meshIdHeader = Buffer.of(0x58, 0x20);
/** Before the frame of a request under a session (M34): format 1 | session id 16 | counter 8 | mac 16. */
const sessionBytes = 41;
const queuedBytesMax = 1_048_576;

interface Front {
  readonly server: Server;
  targetPort: number;
}

export class FaultProxy {
  readonly #fronts = new Map<string, Front>();
  readonly #links = new Map<string, Link>();
  readonly #sockets = new Set<Socket>();

  /** Listens for a region, by its cluster id or, before there is one, a name; its address for all others, also while its own port changes. */
  async listen(upstream: string): Promise<string> {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#accept(socket, upstream);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#fronts.set(upstream, { server, targetPort: 0 });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`; // it listens on TCP
  }

  /** Where the region serves now. */
  target(upstream: string, mesh: string): void {
    const front = this.#fronts.get(upstream);
    if (front !== undefined) front.targetPort = Number(mesh.split(':').at(-1));
  }

  /** By the cluster id of who asks, and by what was listened for. */
  link(reader: string, upstream: string): Link {
    const name = `${reader} ${upstream}`;
    const link = this.#links.get(name) ?? new Link();
    this.#links.set(name, link);
    return link;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([...this.#fronts.values()].map(({ server }) => new Promise((resolve) => server.close(resolve))));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #accept(client: Socket, upstream: string): void {
    this.#keep(client);
    let first = Buffer.alloc(0);
    const look = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk]);
      const reader = senderOf(first);
      if (reader === undefined) return;
      client.off('data', look);
      this.#join(client, first, this.link(reader, upstream), this.#fronts.get(upstream)?.targetPort ?? 0);
    };
    client.on('data', look);
  }

  #join(client: Socket, first: Buffer, link: Link, port: number): void {
    const server = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#keep(server);
    const end = (): void => {
      client.resetAndDestroy();
      server.destroy();
    };
    client.once('close', end);
    server.once('close', end);
    if (!link.adopt(client)) return;
    pump(client, server, link, 'asked', first);
    pump(server, client, link, 'answered');
  }
}

/** Passes on what comes from one side, in order, when the link lets it through. */
function pump(from: Socket, to: Socket, link: Link, direction: 'asked' | 'answered', first?: Buffer): void {
  const queue: { chunk: Buffer; dueMs: number }[] = [];
  let queuedBytes = 0;
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      await link.opened();
      if (to.destroyed) return;
      to.write(next.chunk);
      queuedBytes -= next.chunk.length;
      if (queuedBytes < queuedBytesMax) from.resume();
    }
    isRunning = false;
  };
  const take = (chunk: Buffer): void => {
    queue.push({ chunk, dueMs: link.take(chunk, direction) });
    queuedBytes += chunk.length;
    if (queuedBytes >= queuedBytesMax) from.pause();
    if (!isRunning) void run();
  };
  if (first !== undefined) take(first);
  from.on('data', take);
}

/** Undefined while the frame of the first request is not there up to its cluster id. */
function senderOf(bytes: Buffer): string | undefined {
  const head = bytes.indexOf('\r\n\r\n');
  const body = bytes.subarray(head + 4);
  const isFrame = body.indexOf(meshIdHeader, meshIdAt) === meshIdAt;
  const at = (isFrame ? 0 : sessionBytes) + clusterIdAt;
  return head < 0 || body.length < at + clusterIdBytes ? undefined : uuidText(body.subarray(at, at + clusterIdBytes));
}
