/** What the manual and the completions ask of the table of commands (src/cli/program.ts). */
import type { Argument, Command, Option } from 'commander';

/** All commands that are not hidden, 'map list' as well as 'run'; the help command is commander's own. */
export function commandsOf(top: Command): Command[] {
  return top.commands.flatMap((command) => {
    const below = commandsOf(command);
    return isHidden(command) ? [] : below.length > 0 ? below : [command];
  });
}

function isHidden(command: Command): boolean {
  return (command as Command & { _hidden?: boolean })._hidden === true;
}

/** 'bpfns map list': the whole name. */
export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** 'map list': the words after 'bpfns'. */
export function wordsOf(command: Command): readonly [first: string, second: string | undefined] {
  const [, first = '', second] = nameOf(command).split(' ');
  return [first, second];
}

/** What the shell has to ask for (`bpfns __complete WHAT`) to complete an operand or option of that name. */
const dynamic: Readonly<Record<string, string>> = { namespace: 'namespaces', ns: 'namespaces', parent: 'namespaces' };
const files = new Set(['config', 'base', 'output', 'listener']);

/** What may stand in a place. */
export type Values =
  | { readonly words: readonly string[] }
  /** Asked of `bpfns __complete` when it is needed. */
  | { readonly ask: string }
  /** The host ids of the kind that the word before names. */
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
