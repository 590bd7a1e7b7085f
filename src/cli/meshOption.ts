import { Option, type Command } from 'commander';

export interface InMesh {
  readonly mesh: string;
}

/** Adds the option that names the mesh directory. */
export function withMesh(command: Command): Command {
  return command.addOption(new Option('--mesh <dir>', 'the mesh directory').default('./gkvmesh').env('GKVMESH_MESH'));
}
