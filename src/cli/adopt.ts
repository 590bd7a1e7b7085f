import { type Client } from '../client/client.ts';
import { candidatesOf } from '../client/inspect.ts';
import { type Signer, type StatementOp } from '../client/signer.ts';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { parseKey } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { physicalMsOf, stampFromHex } from '../core/stamp.ts';
import { type Grant } from '../grant/grant.ts';
import { type Pattern } from '../grant/pattern.ts';

/** Keys of one page: each is asked for by itself. */
const pageKeys = 50;
/** JSON of one batch; a single write may be larger, and a server takes 4 MiB. */
const batchCharsMax = 2_500_000;

/**
 * Signs anew all that readers see under a grant that is to end, with what its values and expiries are, and sends it. Resolves with how many keys. Deletes
 * are not seen, and not signed anew: what they hid is seen again, where it is held. Errors: as of `Client`; what was sent before stays.
 */
export async function adopt(client: Client, signer: Signer, target: Grant, onProgress: (keys: number) => void): Promise<number> {
  let adopted = 0;
  for (const prefix of prefixesOf(target.body.patterns)) {
    for await (const ops of pagesOf(client, prefix, target)) {
      for (const batch of batchesOf(ops)) {
        // Signed when it is sent: a version is good for 15 s.
        const results = await client.batchSigned(signer.sign(batch));
        adopted += results.filter(({ applied }) => applied).length;
        onProgress(adopted);
      }
    }
  }
  return adopted;
}

/** What to sign of each page of keys. */
async function* pagesOf(client: Client, prefix: Uint8Array, target: Grant): AsyncGenerator<readonly StatementOp[]> {
  for (let start: Uint8Array | undefined = prefix; start !== undefined;) {
    const page = await client.list({ prefix, start, limit: pageKeys });
    const matching = page.entries.filter(({ key }) => target.body.patterns.some((pattern) => pattern.matches(parseKey(key))));
    const ops = await Promise.all(matching.map((entry) => opOf(client, entry, toHex(target.id))));
    yield ops.flatMap((op) => op ?? []);
    start = page.next ?? undefined;
  }
}

/** Undefined where what is seen does not rest on the grant, or is another by now. */
async function opOf(
  client: Client,
  { key, value, version }: { readonly key: Uint8Array; readonly value: Uint8Array; readonly version: string },
  grant: string,
): Promise<StatementOp | undefined> {
  const candidates = await candidatesOf(client, key);
  const seen = candidates.find((candidate) => candidate.version === version && candidate.chain?.stands === true);
  if (seen?.chain?.grants.some((link) => link.grant === grant) !== true) return undefined;
  const aheadMs = physicalMsOf(stampFromHex(version)) - Date.now();
  if (aheadMs > limits.signedFutureMsMax)
    // what is signed above it would wait for its time, and win then
    throw new GkvError('version_future', `the instance tells a version ${aheadMs} ms ahead of our clock: one of the two is wrong`);
  return { kind: 'set', key, value, expiresAt: seen.expiresAt ?? 0, above: version };
}

/** What one request takes. */
function batchesOf(ops: readonly StatementOp[]): StatementOp[][] {
  const batches: StatementOp[][] = [];
  let chars = Infinity;
  for (const op of ops) {
    const own = 4_096 + (op.kind === 'set' ? op.value.length * 1.34 : 0);
    if (chars + own > batchCharsMax) {
      batches.push([]);
      chars = 0;
    }
    batches.at(-1)?.push(op);
    chars += own;
  }
  return batches;
}

/** Prefixes that cover all keys of the patterns, and more. */
function prefixesOf(patterns: readonly Pattern[]): Uint8Array[] {
  return patterns.map(({ bytes }) => {
    const star = bytes.indexOf(0x2a);
    if (star === -1) return bytes;
    return bytes.subarray(0, Math.max(0, star - 1)); // without the slash: ** may stand for nothing
  });
}
