/** A file, and the option that named it: where that came from. */
export interface SourcedFile {
  readonly path: string;
  readonly source: string;
}
