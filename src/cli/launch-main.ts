/**
 * The program for `run` and `exec` alone, whose start counts. It is one CommonJS file: Node starts
 * that in two thirds of the time that it takes for ES modules with all commands.
 */
import { dirname, join } from 'node:path';
import { addRun } from './launching.js';
import { mainCommand } from './main-command.js';
import { start } from './start.js';

// What this starts itself, such as an agent, is the whole program.
process.argv[1] = join(dirname(process.argv[1] ?? ''), 'bpfns.js');

void start(() => {
  const main = mainCommand();
  addRun(main);
  return main;
});
