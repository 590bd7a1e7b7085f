import { stat } from 'node:fs/promises';

/** Another one whenever one of the files is another or was changed; follows symbolic links. */
export async function fingerprint(paths: readonly string[]): Promise<string> {
  const prints = paths.map((path) =>
    stat(path, { bigint: true }).then(
      ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(' '),
      (error: unknown) => String(error),
    ),
  );
  return (await Promise.all(prints)).join('\n');
}
