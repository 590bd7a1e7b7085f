import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Entry, type Head } from '../core/entry.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { instanceBytes, physicalMsOf, stampBytes, stampToHex, type Stamp } from '../core/stamp.ts';
import { type WriteBody, type WriteId } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { clientInstance, type MeshDigests } from '../crypto/mesh.ts';
import { refusalError, type Guard } from './guard.ts';
import { type Proof, type ClientWrite } from './proposal.ts';

/** What a client sends of a write that it has signed itself; the signature block is one. */
export interface SignedStatement {
  readonly body: WriteBody;
  readonly value: Uint8Array;
  readonly signature: Uint8Array;
}

/** Looks at the signatures of what clients send, so that only who holds a grant that allows it takes a place in a commit. */
export class Prover {
  readonly #guard: Guard;
  readonly #digests: MeshDigests;
  readonly #clock: Clock;
  #underWay = 0;

  constructor(guard: Guard, digests: MeshDigests, clock: Clock) {
    this.#guard = guard;
    this.#digests = digests;
    this.#clock = clock;
  }

  /**
   * The writes of statements, up to the first that is refused for its clock, its chain or its signature: whoever signs nothing costs one check. Errors:
   * `malformed`; those of `signedFault`; `unavailable` where too many are looked at.
   */
  async prove(statements: readonly SignedStatement[]): Promise<ClientWrite[]> {
    if (this.#underWay >= limits.provingMax)
      throw new GkvError('unavailable', `the signatures of ${this.#underWay} requests are being looked at: try again later`);
    this.#underWay += 1;
    try {
      return await this.#proveAll(statements);
    } finally {
      this.#underWay -= 1;
    }
  }

  async #proveAll(statements: readonly SignedStatement[]): Promise<ClientWrite[]> {
    const guard = this.#guard;
    const writes = statements.map((statement, index) => writeOf(statement, this.#digests, index));
    if (writes.some(({ write }) => guard.signerOf(write.leaf) === undefined)) await guard.refresh(); // another instance may have taken it in
    for (const [index, { write }] of writes.entries()) checkInstance(write.version, guard.signerOf(write.leaf), index);
    const proven: ClientWrite[] = [];
    for (const [index, unproven] of writes.entries()) {
      const [proof = 'false'] = await guard.prove([unproven]);
      const signed = { ...unproven, proof };
      const nowMs = this.#clock.now();
      const fault = signedFault(signed, guard, { nowMs, acceptedMs: nowMs }, index);
      if (fault !== undefined) throw fault;
      proven.push(signed);
    }
    return proven;
  }
}

/** Why a write may not be taken in now. Codes: `version_future`, `version_stale`, and those of grants, in this order. */
export function signedFault(
  { write, proof }: { write: ClientWrite['write']; proof: Proof },
  guard: Guard,
  at: { readonly nowMs: number; readonly acceptedMs: number },
  index: number,
): GkvError | undefined {
  const refused = guard.refusalOf({ write }, proof);
  return clockFault(write.version, at, index) ?? (refused === undefined ? undefined : refusalError(refused, index));
}

/** Codes: `version_future` by the wall clock, `version_stale` by the stamp under which the write would be accepted. */
export function clockFault(
  version: Stamp,
  { nowMs, acceptedMs }: { readonly nowMs: number; readonly acceptedMs: number },
  index: number,
): GkvError | undefined {
  const ms = physicalMsOf(version);
  const details = { index, version: stampToHex(version), nowMs };
  if (ms > nowMs + limits.signedFutureMsMax) {
    const why = `operation ${index}: its version is ${ms - nowMs} ms ahead of our clock: at most ${limits.signedFutureMsMax} are allowed`;
    return new GkvError('version_future', why, { details });
  }
  if (ms + limits.staleMsMax >= acceptedMs) return undefined;
  const aheadMs = acceptedMs - nowMs;
  const advice =
    aheadMs <= limits.staleMsMax ? 'sign it anew' : `stamps are ${aheadMs} ms ahead of our clock, which was wrong: write elsewhere`;
  const why = `operation ${index}: its version is ${acceptedMs - ms} ms old: at most ${limits.staleMsMax} are allowed; ${advice}`;
  return new GkvError('version_stale', why, { details });
}

export function belowFloor(version: Stamp, index: number): GkvError {
  const why = `operation ${index}: its version is below the floor, where what is not here was deleted and forgotten: sign it anew`;
  return new GkvError('below_floor', why, { details: { index, version: stampToHex(version) } });
}

/** The very write, where it is here and counts. Nothing is told of it to who has no signature for it. */
export function storedOf(entry: Entry | undefined, { id, write, proof }: ClientWrite, guard: Guard): Head | undefined {
  if (proof !== 'held' || !guard.stands(write.leaf)) return undefined;
  return entry?.find((head) => isOf(head, id));
}

export function isOf(head: Head | undefined, id: WriteId): boolean {
  return head !== undefined && equalBytes(head.id, id);
}

function writeOf({ body, value, signature }: SignedStatement, digests: MeshDigests, index: number): Omit<ClientWrite, 'proof'> {
  const { key, version, tombstone, expiresAt, leaf, valueLength, valueDigest } = body;
  if (value.length !== valueLength) {
    throw malformed(`the value has ${value.length} bytes, its write says ${valueLength}`, index);
  }
  if (!equalBytes(sha256(value), valueDigest)) {
    throw malformed(`the value is not the one that its write names by its SHA-256, ${toHex(valueDigest)}`, index);
  }
  return { write: { key, version, tombstone, expiresAt, leaf, value, signature }, id: digests.writeId(body) };
}

/** Of two holders of keys none mints a version of the other, or of a cluster. */
function checkInstance(version: Stamp, signer: Uint8Array | undefined, index: number): void {
  if (signer === undefined) return; // whose it is cannot be told: it is refused for that
  const instance = clientInstance(signer);
  if (equalBytes(version.subarray(stampBytes - instanceBytes), instance)) return;
  throw malformed(`its version must end with ${toHex(instance)}, as all that the holder of its grant mints`, index);
}

function malformed(why: string, index: number): GkvError {
  return new GkvError('malformed', `operation ${index}: ${why}`, { details: { index } });
}
