/** The log: lines of text or JSON, to stderr or to a file. */
import { appendFileSync, writeSync } from 'node:fs';
import { type logFormats, logLevels } from '../config/config.js';
import { printable, printableJson } from '../control/printable.js';

export type Level = (typeof logLevels)[number];
export type Format = (typeof logFormats)[number];
export type Fields = Readonly<Record<string, string | number>>;
/** `fields` are the parts of the message that a program may want to use. */
export type Log = (level: Level, message: string, fields?: Fields) => void;

/** syslog(3) priorities, which sd-daemon(3) reads as <N> at the start of a line. */
const priorities: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 6, debug: 7 };

export interface LogOptions {
  readonly level: Level;
  readonly format: Format;
  /** Whether stderr is connected to systemd's journal, which has times of its own and reads priorities. */
  readonly isJournal: boolean;
}

function formatLine(level: Level, message: string, fields: Fields, options: LogOptions, now: Date): string {
  const prefix = options.isJournal ? `<${priorities[level]}>` : '';
  if (options.format === 'json') {
    return `${prefix}${printableJson({ time: now.toISOString(), level, message, ...fields })}`;
  }
  const details = Object.entries(fields).map(([key, value]) => ` ${key}=${printable(String(value))}`);
  // A priority applies to one line only. A fault has a stack; what others say comes as one line.
  const lines = message.split('\n').map(printable);
  const text = `${lines.join(`\n${prefix}`)}${details.join('')}`;
  return options.isJournal ? `${prefix}${text}` : `${now.toISOString()} ${level} ${text}`;
}

export function logTo(write: (line: string) => void, options: LogOptions): Log {
  return (level, message, fields = {}) => {
    if (logLevels.indexOf(level) > logLevels.indexOf(options.level)) return;
    write(`${formatLine(level, message, fields, options, new Date())}\n`);
  };
}

/** The log of `bpfns daemon`: stderr, which may be connected to systemd's journal. */
export function daemonLog(options: Omit<LogOptions, 'isJournal'>): Log {
  return logTo(toStderr, { ...options, isJournal: process.env.JOURNAL_STREAM !== undefined });
}

function toStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads it any more, which is no reason to exit.
  }
}

export function toFile(path: string): (line: string) => void {
  return (line) => appendFileSync(path, line, { mode: 0o600 });
}
