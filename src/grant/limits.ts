/** What one record of authority may be, and how far a chain of them goes. More is `malformed` or `too_large`; see SPEC.md. */
export const grantLimits = {
  /** Longer ones could match no key that begins with as much. */
  patternBytesMax: 1_024,
  patternSegmentsMax: 16,
  /** Segments `**` in one pattern. */
  patternDeepMax: 3,
  /** Patterns of one grant. */
  patternsMax: 8,
  /** States that deciding one containment may look at; a grant that needs more is refused. */
  containmentStatesMax: 4_096,
} as const;
