import { GkvError } from '../core/errors.ts';

/** Lines of a stream of bytes, without their ends; no more than one is held. Error: `too_large`, with the line's number. */
export async function* linesIn(input: AsyncIterable<Uint8Array>, lineBytesMax: number): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let number = 1;
  const add = (part: Uint8Array): void => {
    length += part.length;
    if (length > lineBytesMax) throw new GkvError('too_large', `line ${number} has more than ${lineBytesMax} bytes`);
    parts.push(part);
  };
  for await (const chunk of input) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      add(chunk.subarray(from, end));
      yield Buffer.concat(parts).toString();
      parts = [];
      length = 0;
      number += 1;
      from = end + 1;
    }
    add(chunk.subarray(from));
  }
  if (length > 0) yield Buffer.concat(parts).toString();
}
