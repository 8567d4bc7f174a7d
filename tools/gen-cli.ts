/**
 * Generates what follows from the table of commands (src/cli/program.ts): the commands' section of
 * bpfns(8), and the shells' completions. Usage: gen-cli man PAGE|completion bash|zsh|fish
 */
import { readFileSync } from 'node:fs';
import type { Argument, Command, Option } from 'commander';
import product from '../package.json' with { type: 'json' };
import { program } from '../src/cli/program.js';
import { bashCompletion } from './completion/bash.js';
import { commandsOf, nameOf } from './completion/commands.js';
import { fishCompletion } from './completion/fish.js';
import { zshCompletion } from './completion/zsh.js';

/** The place of the section in the page. */
const MARK = '<!-- commands -->\n';

/** The page's source with the commands and the version put in. */
export function fillIn(page: string): string {
  return page.replace(MARK, commandsOf(program()).map(section).join('\n')).replace('@VERSION@', product.version);
}

function section(command: Command): string {
  const operands = command.registeredArguments.map(operand).join(' ');
  const lines = [
    `## ${nameOf(command)} [*options*]${operands ? ` ${operands}` : ''}`,
    '',
    sentence(command.description()),
    '',
    ...command.registeredArguments.filter(({ description }) => description).map(describeOperand),
    ...command.options.map(describeOption),
  ];
  return `${lines.join('\n')}\n`;
}

const operand = (argument: Argument): string => {
  const name = `*${argument.name()}*${argument.variadic ? ' ...' : ''}`;
  return argument.required ? name : `[${name}]`;
};

const describeOperand = (argument: Argument): string =>
  `*${argument.name()}*\n:   ${sentence(argument.description)}${choices(argument.argChoices)}\n`;

function describeOption(option: Option): string {
  const flags = option.flags.replace(/(-{1,2}[\w-]+)/g, '**$1**').replace(/<([^>]+)>/g, '*$1*');
  const hasDefault = option.defaultValue !== undefined && option.defaultValue !== '' && option.defaultValue !== false;
  const byDefault = hasDefault && !option.negate ? ` Default: ${String(option.defaultValue)}.` : '';
  return `${flags}\n:   ${sentence(option.description)}${choices(option.argChoices)}${byDefault}\n`;
}

const choices = (all: readonly string[] | undefined): string => (all ? ` One of: ${all.join(', ')}.` : '');
const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}`.replace(/`/g, '**').replace(/\.?$/, '.');

const completions = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

/** @param shell bash, zsh or fish */
export function completion(shell: keyof typeof completions): string {
  return completions[shell](program());
}

// The page is the same whatever the run directory of this machine.
delete process.env.BPFNS_RUN_DIR;
const [what, which = ''] = process.argv.slice(2);
if (process.argv[1]?.endsWith('gen-cli.js')) {
  if (what === 'man') process.stdout.write(fillIn(readFileSync(which, 'utf8')));
  else if (which in completions) process.stdout.write(completion(which as keyof typeof completions));
  else throw new Error('usage: gen-cli man PAGE|completion bash|zsh|fish');
}
