import { equalBytes } from '../core/bytes.ts';
import { frontierZero, joinClusters, type ClusterFrontier, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { holdsOurs, type Scopes } from '../core/scope.ts';
import { stampZero, type Stamp } from '../core/stamp.ts';
import { type Reach } from '../replica/ended.ts';
import { isTooOld } from './floor.ts';
import { type Statement } from './statement.ts';
import { closedIn, partOf } from './words.ts';

/** What is here once all is here that a peer sends us. */
export interface Claims {
  readonly joins: Frontier | undefined;
  readonly reached: Reach | undefined;
}

/**
 * What of a peer's claims holds for what we hold. A frontier is of the keys that its cluster holds: where these contain ours, all of it; else what the peer took in itself alone, since that lies in its
 * scope, and it sends us what of that lies in ours. What it took in itself is left out as long as some of it is older than the floor, and nothing of it that is here (`ours`) is, or
 * there is nothing: to join it would make us look too old (M25).
 */
export function claimsFor(
  claims: Claims,
  scopes: Scopes | undefined,
  peer: { readonly clusterId: Uint8Array; readonly incarnation: number },
  floor: Stamp = stampZero,
  ours: Frontier = frontierZero,
): Claims {
  const { joins, reached } = claims;
  const part = partOf(peer);
  const own = joins?.get(part);
  const makesOld = own !== undefined && !isOld(ours.get(part), floor) && isOld(joined(ours.get(part), own), floor);
  if (holdsOurs(scopes)) return makesOld && joins !== undefined ? { joins: without(joins, part), reached } : claims;
  const ofPeer = makesOld ? undefined : own;
  return {
    joins: joins && new Map(ofPeer === undefined ? [] : [[part, ofPeer]]),
    reached: reached && { ...reached, members: reached.members.filter((clusterId) => equalBytes(clusterId, peer.clusterId)) },
  };
}

function joined(ours: ClusterFrontier | undefined, theirs: ClusterFrontier): ClusterFrontier {
  return ours === undefined ? theirs : joinClusters(ours, theirs);
}

/** Where some slot of a cluster is older than the floor. */
function isOld(cluster: ClusterFrontier | undefined, floor: Stamp): boolean {
  const [least = stampZero] = closedIn(cluster);
  return isTooOld(least, floor);
}

function without(frontier: Frontier, part: ClusterPart): Frontier {
  return new Map([...frontier].filter(([each]) => each !== part));
}

/**
 * What is believed of a peer's statement: where its scope does not contain ours, its word of itself, and no floor. Who may hold a part of the keys alone has no say in what is collected of the others.
 */
export function believedOf(statement: Statement, scopes: Scopes | undefined, clusterId: Uint8Array): Statement {
  if (holdsOurs(scopes)) return statement;
  return { ...statement, floor: stampZero, members: statement.members.filter((word) => equalBytes(word.clusterId, clusterId)) };
}
