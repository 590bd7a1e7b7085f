/** A process for comparison: koa and lmdb with the same JSON and nothing else, answering a set once it is synced. `DIR KEYS`. */
import Koa from 'koa';
import { open } from 'lmdb';
import { keyText, valueBytes } from './keys.ts';

const [dir = '', keys = '0'] = process.argv.slice(2);
const db = open<Buffer, Buffer>({ path: dir, encoding: 'binary', keyEncoding: 'binary' });
for (let index = 0; index < Number(keys); index += 1) void db.put(Buffer.from(keyText(index), 'base64'), valueBytes);
await db.flushed;

const app = new Koa();
app.use(async (ctx) => {
  const chunks: Buffer[] = [];
  for await (const chunk of ctx.req) chunks.push(chunk as Buffer); // no encoding is set, so chunks are buffers
  const body = JSON.parse(Buffer.concat(chunks).toString()) as { key: string; value?: string };
  const key = Buffer.from(body.key, 'base64');
  if (ctx.path === '/data/set') {
    await db.put(key, Buffer.from(body.value ?? '', 'base64'));
    await db.flushed;
    ctx.body = { applied: true };
  } else {
    const value = db.get(key);
    ctx.body = { value: value?.toString('base64') ?? '', exists: value !== undefined };
  }
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object' && address !== null) process.stdout.write(`ready http://127.0.0.1:${address.port}\n`);
});
process.once('SIGTERM', () => process.exit(0));
