/** What one request, write or batch may be. Greater ones are refused with `too_large`, or `malformed` where counts are off. */
export const limits = {
  keyBytesMax: 1_024,
  valueBytesMax: 1_048_576,
  /** JSON body of an API request; a value of the greatest size in base64 fits. */
  bodyBytesMax: 4_194_304,
  /** Operations in one `/data/batch`. */
  batchOpsMax: 1_000,
  /** Of the keys of one batch together, in a granted mesh: each is matched against the patterns of grants. */
  batchSegmentsMax: 65_536,
  listLimitMax: 1_000,
  listLimitDefault: 100,
  /** Bytes of keys and values in one answer to a list; what is left is found by `next`. */
  listBytesMax: 8_388_608,
  /** Looks of one list, at heads and for patterns (R5); a range full of tombstones is answered in parts, by `next`. */
  listHeadsMax: 20_000,
  /** Keys and values of one atomic write of many operations; below what a store takes in one transaction. */
  writeBytesMax: 8_388_608,
  /** One commit takes at most this many writes and bytes from different callers. */
  commitWritesMax: 500,
  commitBytesMax: 2_097_152,
  /** One page of a feed; a single write may be larger. */
  feedPageBytesMax: 524_288,
  /** Rows of a feed that are counted behind one of its pages; told as so many or more. */
  feedBehindMax: 1_000,
  /** Of one page with a write and what hides it; a frame holds it. */
  feedGroupBytesMax: 786_432,
  /** Of what one commit costs by the way in which FoundationDB counts, below its limit of 10 MB, and of what it takes to match its keys. A larger atomic write goes alone. */
  commitCostMax: 8_000_000,
  /** What waits for a commit, over all callers; more is refused with `unavailable`. */
  queuedWritesMax: 20_000,
  queuedBytesMax: 67_108_864,
  /** A write from a peer may be this far ahead of our wall clock; further ahead, it is parked. */
  futureMsMax: 5_000,
  /** One that a client has signed; less, as who pulls it from us may be behind our clock. */
  signedFutureMsMax: 4_000,
  /** A version that a client minted may be this much older than its acceptance; the floor is reckoned with it. */
  staleMsMax: 15_000,
  parkedWritesMax: 10_000,
  parkedBytesMax: 67_108_864,
  /** Writes of different leaf grants that one key holds: the least of more give way. */
  candidatesKeptMax: 128,
  /** Candidates of a key up to which the small value of one more lies in its entry; with more, in a row of its own. */
  inlineCandidatesMax: 3,
  /** Of one peer, in a granted mesh, that wait for the clock or for their grants: another's must find room. */
  parkedOfPeerMax: 1_000,
  /** One write more may begin below it. */
  parkedOfPeerBytesMax: 6_291_456,
  /** How long a write waits for its grants. */
  unprovenMsMax: 600_000,
  /** Peers of whose waiting writes some were given up. */
  lapsedPeersMax: 2_000,
  ttlMsMax: 315_360_000_000,
  /** Requests with writes that clients signed, whose signatures are looked at at a time; more are refused with `unavailable`. */
  provingMax: 1_000,
  /** Clusters of one mesh. */
  membersMax: 1_000,
} as const;

/** Stamps are made with an incarnation of 32 bits. */
export const incarnationMax = 0xffff_ffff;
