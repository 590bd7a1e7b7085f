import { equalBytes } from '../../src/core/bytes.ts';
import { parseKey } from '../../src/core/key.ts';
import { inlineSignatures, SigningKey } from '../../src/crypto/ed25519.ts';
import { authorise, type Question } from '../../src/grant/authorise.ts';
import { Authority } from '../../src/grant/authority.ts';
import { takeAll, type AnyRecord } from '../../src/grant/anyRecord.ts';
import { grantLayout, type Grant, type GrantBody } from '../../src/grant/grant.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { signStatement } from '../../src/grant/record.ts';
import { revocationLayout, type Revocation } from '../../src/grant/revocation.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { rootLayout, type RootBody, type RootDocument } from '../../src/grant/root.ts';
import { sha256 } from '../../src/crypto/digest.ts';

const zero = new Uint8Array(32);
const byBytes = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);
export const signatures = inlineSignatures();

const people = new Map<string, SigningKey>();

/** The key of this name. */
export function person(name: string): SigningKey {
  const known = people.get(name) ?? SigningKey.fromSeed(sha256(Buffer.from(name)));
  people.set(name, known);
  return known;
}

export const patternsOf = (...texts: string[]): Pattern[] =>
  texts.map((text) => Pattern.parse(Buffer.from(text))).sort((a, b) => byBytes(a.bytes, b.bytes));

/** Documents and grants of one mesh, by names; every grant of one body is another by its nonce. */
export class Mesh {
  readonly root: RootDocument;
  #made = 0;

  constructor(names: readonly string[] = ['root'], threshold = 1) {
    const body = this.rootBody(names, { version: 1, previous: zero, threshold });
    const unsigned = signStatement(rootLayout, zero, body, []);
    this.root = signStatement(rootLayout, unsigned.id, body, names.map(person));
  }

  get id(): Uint8Array {
    return this.root.id;
  }

  rootBody(names: readonly string[], more: Partial<RootBody>): RootBody {
    const keys = names.map((name) => person(name).publicKey).sort(byBytes);
    return { version: 2, previous: zero, nonce: this.#nonce(), threshold: 1, keys, carried: [], ...more };
  }

  /** The root after one, with other keys. */
  rotated(names: readonly string[], signers: readonly string[], more: Partial<RootBody> = {}): RootDocument {
    return signStatement(rootLayout, this.id, this.rootBody(names, { previous: this.id, ...more }), signers.map(person));
  }

  /** What the root gives. */
  grant(to: string, more: Partial<GrantBody> = {}, signers: readonly string[] = ['root']): Grant {
    return signStatement(grantLayout, this.id, this.#body(to, more), signers.map(person));
  }

  /** What the holder of a grant gives on. */
  given(parent: Grant, from: string, to: string, more: Partial<GrantBody> = {}): Grant {
    const depth = Math.max(0, parent.body.depth - 1);
    const rights = depth === 0 ? parent.body.rights & ~rightsOf(['delegate']) : parent.body.rights;
    const { notBeforeMs, expiresMs, patterns } = parent.body;
    const body = { parent: parent.id, rootVersion: 0, issuer: person(from).publicKey, depth, rights, notBeforeMs, expiresMs, patterns };
    return signStatement(grantLayout, this.id, this.#body(to, { ...body, ...more }), [person(from)]);
  }

  revocation(target: Grant, by: string): Revocation {
    const body = { target: target.id, signer: person(by).publicKey, rootVersion: 0 };
    return signStatement(revocationLayout, this.id, body, [person(by)]);
  }

  revocationByRoot(target: Grant, rootVersion = 1, signers: readonly string[] = ['root']): Revocation {
    return signStatement(revocationLayout, this.id, { target: target.id, signer: zero, rootVersion }, signers.map(person));
  }

  #body(to: string, more: Partial<GrantBody>): GrantBody {
    return {
      parent: zero,
      rootVersion: 1,
      issuer: zero,
      audience: person(to).publicKey,
      rights: rightsOf(['read', 'write', 'delete', 'delegate']),
      depth: 7,
      notBeforeMs: 1_000,
      expiresMs: 2_000,
      nonce: this.#nonce(),
      patterns: patternsOf('**'),
      ...more,
    };
  }

  #nonce(): Uint8Array {
    this.#made += 1;
    const nonce = Buffer.alloc(16);
    nonce.writeUInt32BE(this.#made);
    return nonce;
  }
}

export function anyOf(record: RootDocument | Grant | Revocation): AnyRecord {
  if ('keys' in record.body) return { kind: 'root', record: record as RootDocument }; // by its body
  if ('target' in record.body) return { kind: 'revocation', record: record as Revocation }; // as above
  return { kind: 'grant', record: record as Grant }; // as above
}

/** What is known once all of them were taken in, and which codes the others were refused with. */
export async function knowing(
  mesh: Mesh,
  ...records: readonly (RootDocument | Grant | Revocation)[]
): Promise<{ authority: Authority; codes: string[]; codeOf: (record: RootDocument | Grant | Revocation) => string | undefined }> {
  const authority = new Authority(mesh.id, signatures);
  const refused = await takeAll(authority, [mesh.root, ...records].map(anyOf));
  const codeOf = (record: RootDocument | Grant | Revocation): string | undefined =>
    refused.find(({ any }) => equalBytes(any.record.id, record.id))?.refusal.code;
  return { authority, codes: refused.map(({ refusal }) => refusal.code), codeOf };
}

export const ask = (right: Question['right'] = 'write', key = '/cities/FR/1', atMs = 1_500): Question => ({
  right,
  key: parseKey(Buffer.from(key)),
  atMs,
});

/** "allowed", or the code and the link. */
export function verdict(authority: Authority, leaf: Grant, question: Question = ask()): string {
  const answer = authorise(authority, leaf.id, question);
  return answer.kind === 'allowed' ? 'allowed' : `${answer.refusal.code} ${answer.refusal.link ?? '-'}`;
}
