/** The daemon's configuration: the keys of bpfns.toml, and their defaults. */
import * as v from 'valibot';
import { delegationWords } from '../model/delegation.js';

export const logLevels = ['error', 'warning', 'info', 'debug'] as const;
export const logFormats = ['text', 'json'] as const;
/** Whether the kernel counts runs and run time of programs: never, while somebody looks, or always. */
const runtimeChoices = ['off', 'on-demand', 'always'] as const;

const listen = v.pipe(
  v.string('a string'),
  v.regex(/^(unix:\/.+|(\d{1,3}\.){3}\d{1,3}:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$/, 'ADDRESS:PORT or unix:/PATH'),
);

const aboveZero = v.pipe(v.number('a whole number'), v.integer('a whole number'), v.minValue(1, 'a number above 0'));

const words = v.pipe(v.string('a string'), v.regex(delegationWords, "'any', or names separated by colons"));

/** Who may make namespaces besides root, in user namespaces of their own. */
const user = v.strictObject({
  uid: aboveZero,
  namespaces: v.optional(aboveZero, 32),
  delegate: v.optional(
    v.strictObject({
      cmds: v.exactOptional(words),
      maps: v.exactOptional(words),
      progs: v.exactOptional(words),
      attachs: v.exactOptional(words),
    }),
  ),
});
export type UserConfig = v.InferOutput<typeof user>;

const eachOnce = (users: UserConfig[]): boolean => new Set(users.map(({ uid }) => uid)).size === users.length;

/** The recorder's tables hold about as many. */
const budget = v.pipe(aboveZero, v.maxValue(1_000_000, 'at most 1000000'));

const schema = v.strictObject({
  limits: v.optional(
    v.strictObject({
      'namespaces-per-user': v.optional(aboveZero),
      objects: v.optional(budget),
      numbers: v.optional(budget),
      namespaces: v.optional(budget),
      'program-memory': v.optional(aboveZero),
      events: v.optional(aboveZero),
    }),
    {},
  ),
  log: v.optional(
    v.strictObject({
      level: v.optional(v.picklist(logLevels, `one of ${logLevels.join(', ')}`), 'info'),
      format: v.optional(v.picklist(logFormats, `one of ${logFormats.join(', ')}`), 'text'),
    }),
    {},
  ),
  metrics: v.optional(
    v.strictObject({
      listen: v.optional(listen),
      namespaces: v.optional(aboveZero, 200),
      programs: v.optional(
        v.pipe(v.number('a whole number'), v.integer('a whole number'), v.minValue(0, '0 or more')),
        0,
      ),
    }),
    {},
  ),
  statistics: v.optional(
    v.strictObject({
      runtime: v.optional(v.picklist(runtimeChoices, `one of ${runtimeChoices.join(', ')}`), 'on-demand'),
    }),
    {},
  ),
  users: v.optional(v.pipe(v.array(user, 'a list of tables'), v.check(eachOnce, 'each uid once')), []),
  tracing: v.optional(v.strictObject({ tracefs: v.optional(v.boolean('true or false'), false) }), {}),
  control: v.optional(
    v.strictObject({
      'read-only-group': v.optional(v.pipe(v.string('a string'), v.regex(/^[a-z_][a-z0-9_-]*$/, "a group's name"))),
    }),
    {},
  ),
});

export type Config = v.InferOutput<typeof schema>;

/** An error in one key. */
export interface ConfigProblem {
  /** The path of the key, from the outermost table. */
  readonly key: readonly string[];
  readonly expected: string;
}

/** A configuration with mistakes in it: all of them. */
export class InvalidConfig extends Error {
  override readonly name = 'InvalidConfig';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ key, expected }) => `${key.join('.')}: ${expected}`).join('; '));
    this.problems = problems;
  }
}

/** @throws InvalidConfig */
export function checkConfig(value: unknown): Config {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => {
    const key = (issue.path ?? []).map(({ key: each }) => String(each));
    // valibot reports 'strict_object' for a key that is not in the schema.
    const isUnknown = issue.type === 'strict_object' && issue.expected === 'never';
    const isNoTable = issue.type === 'strict_object' && !isUnknown;
    return { key, expected: isUnknown ? 'no such key' : isNoTable ? 'a table' : issue.message };
  });
  throw new InvalidConfig(problems);
}

export const defaultConfig: Config = v.parse(schema, {});
