/** Queries of the manual and the completions to the table of commands (src/cli/program.ts). */
import type { Argument, Command, Option } from 'commander';

/** All commands that are not hidden: 'run' as well as 'map list', without commander's own help command. */
export function commandsOf(top: Command): Command[] {
  return top.commands.flatMap((command) => {
    const below = commandsOf(command);
    return isHidden(command) ? [] : below.length > 0 ? below : [command];
  });
}

function isHidden(command: Command): boolean {
  return (command as Command & { _hidden?: boolean })._hidden === true;
}

/** The full name: 'bpfns map list'. */
export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** The words after 'bpfns': 'map list'. */
export function wordsOf(command: Command): readonly [first: string, second: string | undefined] {
  const [, first = '', second] = nameOf(command).split(' ');
  return [first, second];
}

/** What `bpfns __complete WHAT` completes, by the name of the operand or option. */
const dynamic: Readonly<Record<string, string>> = { namespace: 'namespaces', ns: 'namespaces', parent: 'namespaces' };
const files = new Set(['config', 'base', 'output', 'listener']);

/** The candidates for a position. */
export type Values =
  | { readonly words: readonly string[] }
  /** From `bpfns __complete`, at completion time. */
  | { readonly ask: string }
  /** The host ids of the kind that the previous word names. */
  | 'host-ids'
  | 'files'
  /** A command and its arguments. */
  | 'command'
  | 'anything';

export function valuesOf(place: Argument | Option): Values {
  const name = place.name();
  const ask = dynamic[name];
  if (place.argChoices) return { words: place.argChoices };
  if (ask) return { ask };
  if (name === 'hostid') return 'host-ids';
  if (name === 'command') return 'command';
  return files.has(name) ? 'files' : 'anything';
}
