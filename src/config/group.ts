/** Users and groups of the host, from every source that nsswitch.conf(5) names: asked of getent(1) and id(1). */
import { execFileSync } from 'node:child_process';
import type { Config } from './config.js';

export interface Account {
  readonly uid: number;
  /** The user's first group. */
  readonly gid: number;
  /** All groups that have the user as a member, the first included. */
  readonly groups: readonly number[];
}

/** @returns what the program prints; undefined if it fails: there is no such entry, or no such program */
function ask(program: string, ...args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** A number of an account; undefined for what is none. */
function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** A group's id. */
export function groupId(name: string): number | undefined {
  return number(ask('getent', '--', 'group', name)?.split(':')[2]);
}

/** There is no such group. */
export class NoSuchGroup extends Error {
  override readonly name = 'NoSuchGroup';
}

/** The id of the group that may read, if the configuration names one. @throws NoSuchGroup */
export function readOnlyGroup({ control }: Config): number | undefined {
  const name = control['read-only-group'];
  if (name === undefined) return undefined;
  const group = groupId(name);
  if (group === undefined) {
    throw new NoSuchGroup(`control.read-only-group: there is no group '${name}': groupadd(8) makes one`);
  }
  return group;
}

/** Undefined if there is no such user. */
export function accountOf(user: string): Account | undefined {
  const [, , uid, gid] = ask('getent', '--', 'passwd', user)?.split(':') ?? [];
  const [own, first] = [number(uid), number(gid)];
  if (own === undefined || first === undefined) return undefined;
  const groups = (ask('id', '-G', '--', user) ?? '').split(' ').flatMap((group) => number(group) ?? []);
  return { uid: own, gid: first, groups: [...new Set([first, ...groups])] };
}
