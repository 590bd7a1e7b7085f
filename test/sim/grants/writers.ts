import { toHex } from '../../../src/core/bytes.ts';
import { parseKey } from '../../../src/core/key.ts';
import { makeStamp, parseInstance, physicalMsOf, type Stamp } from '../../../src/core/stamp.ts';
import { parseGrantId, type Write } from '../../../src/core/write.ts';
import { sha256 } from '../../../src/crypto/digest.ts';
import { signWrites } from '../../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../../src/replica/batch.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { type BatchResult } from '../../../src/replica/slot.ts';
import { person } from '../../grant/world.ts';
import { type Host } from '../cluster/host.ts';
import { type Intake } from '../cluster/instance.ts';
import { asBug } from '../cluster/log.ts';
import { Violation } from '../kernel/kernel.ts';
import { type Stream } from '../kernel/streams.ts';
import { pickName } from '../load/keys.ts';
import { type World } from '../world.ts';
import { areas, deepNames } from './areas.ts';
import { type GrantedMesh } from './granted.ts';
import { type GivenGrant } from './law.ts';
import { type MadeWrite } from './made.ts';

const gapMsMean = 350;
/** What a floor counts on lies in a version no older than this when it is taken in. */
const agedMsMax = 5_000;

/** Holders of grants who sign for themselves bring their writes to some region, now and then again, or to another; somebody brings false ones. */
export async function writers(world: World, granted: GrantedMesh, signal: AbortSignal): Promise<void> {
  const { kernel, counts } = world;
  const random = kernel.streams.of('writers');
  for (let number = 0; ; number += 1) {
    await kernel.sleep(random.around(gapMsMean), '');
    if (signal.aborted) return;
    const host = random.pick(world.hosts());
    const { intake } = host;
    // A region that has just begun anew has told no time yet, and has no floor: it would take a version of 1970, which others refuse as below theirs.
    if (intake === undefined || intake.lastMs() === 0) continue;
    const made = next(world, granted, { random, intake, number });
    if (made.length === 0 || !isTimely(world, granted, host, made)) continue;
    // No session would let them through, and what is refused for that is refused for good.
    if (made.some(({ name }) => world.scopes?.holds(host.region.index, name) === false)) continue;
    const way = random.chance(0.5) ? 'feed' : 'exchange';
    counts.add(`written by ${way}`, made.length);
    bring(world, granted, host, { made, way, intake });
  }
}

/**
 * Where floors move, nobody brings what waits for its grant: between its version and its being taken in there would be more than a floor counts on
 *.
 */
function isTimely(world: World, { office }: GrantedMesh, { region }: Host, made: readonly MadeWrite[]): boolean {
  const known = world.granted?.heads.holding(region.index);
  return !world.collects || made.every(({ grant }) => office.law.verdict(grant, known) !== 'unknown');
}

/** What a hostile sender has waiting, nobody waits for. */
export const hostilePeer = 'ff'.repeat(16);

function bring(
  world: World,
  granted: GrantedMesh,
  host: Host,
  { made, way, intake }: { made: readonly MadeWrite[]; way: 'feed' | 'exchange'; intake: Intake },
): void {
  const { kernel, counts } = world;
  const isHostile = made.some((write) => write.isForged || !isTrue(write, granted));
  const peer = isHostile ? hostilePeer : toHex(sha256(Buffer.from(made[0]?.grant.holder ?? '')).subarray(0, 16));
  host.life.after(0.5, `${made.length} writes of ${made[0]?.grant.holder ?? 'nobody'}`, () => {
    intake[way](
      made.map(({ received }) => received),
      peer,
    ).then(
      (results) => {
        for (const { status } of results) counts.add(`written: ${status}`);
        const fault = made.map((write, i) => faultOf(write, results[i], granted)).find((each) => each !== undefined);
        if (fault !== undefined) kernel.fail(fault);
      },
      (error: unknown) => {
        const bug = asBug(error);
        if (bug !== undefined) kernel.fail(bug);
        counts.add('written: failed');
      },
    );
  });
}

/** Signed, under a grant that was given rightly. */
function isTrue({ grant }: MadeWrite, { office: { law } }: GrantedMesh): boolean {
  return law.statements().has(grant.id);
}

/** K3: what is refused for good is not what any record allows. */
function faultOf(write: MadeWrite, result: BatchResult | undefined, { office: { law } }: GrantedMesh): Violation | undefined {
  const { received, grant, name, isForged } = write;
  const version = toHex(received.write.version);
  if (result === undefined) return undefined;
  if (result.status === 'applied' && isForged) return new Violation('K3', `${version} of key ${name} is taken in, and forged`);
  if (result.status === 'forged' && !isForged)
    return new Violation('K3', `${version} of key ${name} is refused as forged, and ${grant.holder} signed it`);
  const wanted = { key: name, tombstone: received.write.tombstone, ms: physicalMsOf(received.write.version) };
  const mayNot = isForged || law.verdict(grant) !== 'stands' || !law.allows(grant, wanted);
  if (result.status !== 'denied' || mayNot) return undefined;
  return new Violation('K3', `${version} of key ${name} is refused for good, and its grant stands and allows it`);
}

interface Making {
  readonly random: Stream;
  readonly intake: Intake;
  readonly number: number;
}

function next(world: World, granted: GrantedMesh, making: Making): MadeWrite[] {
  const { random } = making;
  const { writes } = granted;
  const signed = writes.all.filter(({ isForged }) => !isForged).slice(-30);
  const old = signed.length === 0 ? undefined : random.pick(signed);
  if (old !== undefined && random.chance(0.2) && isFresh(world, old, making)) return [old];
  if (old !== undefined && random.chance(0.12) && isFresh(world, old, making)) {
    const forged = forge(old, world, granted, random);
    writes.add(forged);
    return random.chance(0.5) ? [forged] : [forged, old];
  }
  const grants = [...granted.office.law.grants.values()].filter(({ holder }) => !holder.startsWith('cluster'));
  if (grants.length === 0) return [];
  const { law } = granted.office;
  const standing = grants.filter((each) => law.verdict(each) === 'stands');
  const grant = random.pick(random.chance(0.8) && standing.length > 0 ? standing : grants);
  const made = sign(grant, world, granted, making);
  for (const write of made) writes.add(write);
  return made;
}

/** A write that comes again is no older than a floor allows, where there is one. */
function isFresh(world: World, { received }: MadeWrite, { intake }: Making): boolean {
  return !world.collects || intake.lastMs() - physicalMsOf(received.write.version) < agedMsMax;
}

/** One to four writes under one signature; some of them not what the grant allows. */
function sign(grant: GivenGrant, world: World, granted: GrantedMesh, { random, intake, number }: Making): MadeWrite[] {
  const count = random.chance(0.3) ? 2 + random.below(3) : 1;
  const isAnywhere = random.chance(0.1);
  const names = Array.from({ length: 8 }, () => (random.chance(0.6) ? pickName(random) : random.pick(deepNames)));
  const fitting = [...new Set(names)].filter((name) => isAnywhere || grant.areas.some((area) => areas[area].has(name)));
  const statements = fitting.slice(0, count).map((name, place) => {
    const tombstone = random.chance(grant.rights.includes('delete') ? 0.2 : 0.05);
    const value = tombstone
      ? ''
      : `${grant.holder} ${number}.${place}${'.'.repeat(random.chance(0.1) ? random.below(2_000) : random.below(60))}`;
    const version = versionOf(grant.holder, world, { random, intake, number }, place);
    const expiresAt = tombstone || random.chance(0.85) ? 0 : physicalMsOf(version) + 1 + random.below(30_000);
    const write = {
      key: parseKey(Buffer.from(name)),
      version,
      tombstone,
      expiresAt,
      leaf: parseGrantId(grant.record.id),
      value: Buffer.from(value),
    };
    return { name, write, id: world.digests.writeId(bodyOf(write)) };
  });
  if (statements.length === 0) return [];
  const blocks = signWrites(granted.office.meshId, statements.map(({ id }) => id), person(grant.holder)); // prettier-ignore
  return statements.map(({ name, write, id }, i) => {
    const signed: Write = { ...write, signature: blocks[i] ?? new Uint8Array(0) };
    return { received: { write: signed, id, accepted: write.version }, grant, name, isForged: false };
  });
}

/** Around the clock of the region that takes it in; some lie ahead, and wait. */
function versionOf(holder: string, { collects }: World, { random, intake, number }: Making, place: number): Stamp {
  const aheadMs = random.chance(0.1) ? random.below(15_000) : collects ? random.below(3_000) : -random.below(10_000);
  const instance = parseInstance(sha256(person(holder).publicKey).subarray(0, 8));
  return makeStamp(Math.max(0, intake.lastMs() + aheadMs), (number * 8 + place) & 0xffff, instance);
}

/** A copy of a true write that is none: another value, another's signature, or a signature that is broken. */
function forge({ received, grant, name }: MadeWrite, { digests }: World, { office }: GrantedMesh, random: Stream): MadeWrite {
  const { write } = received;
  const made = (forged: ReceivedWrite): MadeWrite => ({ received: forged, grant, name, isForged: true });
  switch (random.below(3)) {
    case 0: {
      const signature = Buffer.from(write.signature);
      signature.writeUInt8(signature.readUInt8(signature.length - 40) ^ 1, signature.length - 40);
      return made({ ...received, write: { ...write, signature } });
    }
    case 1: {
      const changed = { ...write, tombstone: false, value: Buffer.from(`forged ${random.below(1_000_000)}`) };
      return made({ ...received, write: changed, id: digests.writeId(bodyOf(changed)) });
    }
    default: {
      const changed = { ...write, expiresAt: 0, tombstone: false, value: Buffer.from(`stolen ${random.below(1_000_000)}`) };
      const own = digests.writeId(bodyOf(changed));
      const [signature = new Uint8Array(0)] = signWrites(office.meshId, [own], person('mallory'));
      return made({ ...received, write: { ...changed, signature }, id: own });
    }
  }
}
