/** The socket that the daemon has opened for the user who runs this process. */
import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { paths, userPaths } from '../config/paths.js';

/**
 * Undefined if there is none. In a user namespace the directory's name says nothing: the owner of
 * the socket, as seen from here, is this user.
 */
export function userSocket(): string | undefined {
  const own = process.geteuid?.();
  return entriesOf(paths.users)
    .map((uid) => userPaths(Number(uid)).socket)
    .find((path) => isOwn(path, own));
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isOwn(path: string, uid: number | undefined): boolean {
  try {
    accessSync(path, constants.W_OK);
    return statSync(path).uid === uid;
  } catch {
    return false;
  }
}
