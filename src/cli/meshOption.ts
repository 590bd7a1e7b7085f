import { type Command } from 'commander';
import { fromVariable } from './variable.ts';

export interface InMesh {
  readonly mesh: string;
}

/** Adds the option that names the mesh directory. */
export function withMesh(command: Command): Command {
  return command.addOption(fromVariable('--mesh <dir>', 'the mesh directory', 'GKVMESH_MESH').default('./gkvmesh'));
}
