/** The program: all commands. */
import { program } from './program.js';
import { start } from './start.js';

await start(program);
