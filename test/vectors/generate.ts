/** Writes the vectors anew: `node --import tsx test/vectors/generate.ts`. A change here is a change of the format. */
import { writeFileSync } from 'node:fs';
import { coreVectors } from './core.ts';
import { ed25519Vectors } from './ed25519.ts';
import { grantVectors } from './grants.ts';
import { meshVectors } from './mesh.ts';
import { recordVectors } from './records.ts';
import { sessionVectors } from './sessions.ts';

for (const [name, vectors] of Object.entries({
  core: coreVectors(),
  records: recordVectors(),
  mesh: meshVectors(),
  ed25519: ed25519Vectors(),
  grants: grantVectors(),
  sessions: sessionVectors(),
})) {
  writeFileSync(new URL(`${name}.json`, import.meta.url), `${JSON.stringify(vectors, null, 2)}\n`);
}
