/** What one record of authority may be, and how far a chain of them goes. More is `malformed` or `too_large`; see SPEC.md. */
export const grantLimits = {
  /** Longer ones could match no key that begins with as much. */
  patternBytesMax: 1_024,
  patternSegmentsMax: 16,
  /** Segments `**` in one pattern. */
  patternDeepMax: 3,
  /** Patterns of one grant. */
  patternsMax: 8,
  /** Patterns by which one list is filtered. */
  filterPatternsMax: 8,
  /** Grants from the root's to the leaf. */
  chainLinksMax: 8,
  rootKeysMax: 16,
  /** Signatures of one record: all keys of two root documents. */
  signaturesMax: 32,
  /** Grants that a root document carries over. */
  carriedMax: 1_024,
  /** Siblings in a write's signature block: 256 writes under one signature. */
  pathMax: 8,
  /** Grants and revocations that one process keeps in memory. */
  recordsMax: 65_536,
  /** Grants that a ledger had no room for, of which it remembers that. */
  passedOverMax: 65_536,
  /** Grants of a cluster's own key that one write of its clients is held against. */
  ownAskedMax: 256,
  /** Bearer tokens that one server knows. */
  tokensMax: 10_000,
  /** Grants that were refused for good, and of which it is remembered why. */
  refusedRememberedMax: 1_024,
  /** States that deciding one containment may look at; a grant that needs more is refused. */
  containmentStatesMax: 4_096,
} as const;
