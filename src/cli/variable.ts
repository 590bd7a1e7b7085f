import { InvalidArgumentError, Option } from 'commander';

/** An option that a variable of the environment gives too. Neither may be empty: what got lost on the way would mean another file, or none. */
export function fromVariable(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable).argParser((text) => {
    if (text === '') throw new InvalidArgumentError('It is empty.');
    return text;
  });
}
