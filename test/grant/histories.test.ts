import assert from 'node:assert/strict';
import fc from 'fast-check';
import { takeAll } from '../../src/grant/anyRecord.ts';
import { Authority } from '../../src/grant/authority.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { type Revocation } from '../../src/grant/revocation.ts';
import { type RootDocument } from '../../src/grant/root.ts';
import { anyOf, ask, Mesh, patternsOf, signatures, verdict } from './world.ts';

/** Grant i is held by person i. Of the root, or given from another grant by who holds it, or by a stranger. */
interface Given {
  readonly parent: number;
  readonly by: 'holder' | 'stranger';
  readonly isNarrow: boolean;
}

/** Of grant `target`, by who holds grant `by`, or by the root. */
interface Ended {
  readonly target: number;
  readonly by: number;
}

/** Root documents 2 and 3, and perhaps a second 2; each carries the grants of which the bit is set. */
type Rotations = readonly { readonly version: 2 | 3; readonly carried: number }[];

interface History {
  readonly given: readonly Given[];
  readonly ended: readonly Ended[];
  readonly rotations: Rotations;
}

const carried = fc.integer({ min: 0, max: 0xfff }).map((mask) => mask | 0x111);
const histories: fc.Arbitrary<History> = fc.record({
  given: fc.array(
    fc.record({
      parent: fc.integer({ min: -1, max: 30 }),
      by: fc.constantFrom('holder', 'holder', 'holder', 'holder', 'stranger'),
      isNarrow: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  ended: fc.array(fc.record({ target: fc.nat(11), by: fc.integer({ min: -1, max: 11 }) }), { maxLength: 3 }),
  rotations: fc
    .constantFrom<(2 | 3)[]>([], [], [2], [2, 3], [2, 2], [2, 2, 3])
    .chain((versions) => fc.tuple(...versions.map((version) => carried.map((mask) => ({ version, carried: mask }))))),
});

/** −1 for the root. */
const parentOf = ({ parent }: Given, i: number): number => (parent < i ? parent : (parent % (i + 1)) - 1);

/** From the root's grant to this one. */
function lineOf({ given }: History, i: number): number[] {
  const line: number[] = [];
  for (let at = i; at >= 0; at = parentOf(given[at]!, at)) line.unshift(at);
  return line;
}

/** What the rules say in words, told without any of the code. */
function stands(history: History, i: number): boolean {
  const { given, ended, rotations } = history;
  const line = lineOf(history, i);
  const isGiven = (at: number, place: number): boolean => {
    const grant = given[at]!;
    if (place === 0) return grant.by === 'holder';
    const isWider = given[line[place - 1]!]!.isNarrow && !grant.isNarrow;
    return grant.by === 'holder' && !isWider && place <= 7;
  };
  const isEnded = (at: number, place: number): boolean =>
    ended.some(({ target, by }) => target === at && (by === -1 || line.slice(0, place + 1).includes(by)));
  const isCarried = rotations.every((rotation) => ((rotation.carried >> line[0]!) & 1) === 1);
  return isCarried && line.every((at, place) => isGiven(at, place) && !isEnded(at, place));
}

function recordsOf(mesh: Mesh, history: History): { grants: Grant[]; others: (Revocation | RootDocument)[] } {
  const grants: Grant[] = [];
  for (const [i, given] of history.given.entries()) {
    const parent = grants[parentOf(given, i)];
    const patterns = patternsOf(given.isNarrow ? '/cities/**' : '**');
    if (parent === undefined) grants.push(mesh.grant(`${i}`, { patterns }, [given.by === 'holder' ? 'root' : 'stranger']));
    else grants.push(mesh.given(parent, given.by === 'holder' ? `${parentOf(given, i)}` : 'stranger', `${i}`, { patterns }));
  }
  const ids = (mask: number): Uint8Array[] =>
    grants
      .filter((_, i) => ((mask >> i) & 1) === 1)
      .map(({ id }) => id)
      .sort((a, b) => Buffer.compare(a, b));
  const roots: RootDocument[] = [];
  for (const { version, carried: mask } of history.rotations) {
    const names = version === 2 ? ['root', 'second'] : ['second', 'third'];
    const previous = version === 2 ? mesh.id : roots[0]!.id;
    roots.push(mesh.rotated(names.slice(1), names, { version, previous, carried: ids(mask) }));
  }
  const revocations = history.ended.flatMap(({ target, by }) => {
    const grant = grants[target];
    if (grant === undefined) return [];
    return [by === -1 ? mesh.revocationByRoot(grant) : mesh.revocation(grant, `${by}`)];
  });
  return { grants, others: [...roots, ...revocations] };
}

describe('histories of grants', () => {
  it('T14: I4: whatever was given, revoked and rotated, in whatever order it is learned, what stands is what the rules say', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.infiniteStream(fc.nat()), async (history, order) => {
        const mesh = new Mesh();
        const { grants, others } = recordsOf(mesh, history);
        const expected = grants.map((_, i) => stands(history, i));
        for (let round = 0; round < 2; round += 1) {
          const shuffled = [mesh.root, ...grants, ...others].map((record) => ({ record, at: order.next().value as number })); // it never ends
          shuffled.sort((a, b) => a.at - b.at);
          const authority = new Authority(mesh.id, signatures);
          await takeAll(
            authority,
            shuffled.map(({ record }) => anyOf(record)),
          );
          const found = grants.map((grant) => verdict(authority, grant, ask('write', '/cities/x')) === 'allowed');
          assert.deepEqual(found, expected);
        }
      }),
      { numRuns: Number(process.env['GKVMESH_TEST_ORDERS'] ?? 60) },
    );
  });
});
