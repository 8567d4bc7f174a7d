/** Users without any right on the host, for whom root has opened sockets (`[[users]]`). */
import { bpfnsPath, guestPath, type Outcome, run, runDir } from './host.js';

export const asUser = (uid: number): string[] => ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];

/** As a user, in a user namespace of their own. */
export const inOwn = (uid: number): string[] => [...asUser(uid), 'unshare', '--user', '--map-root-user'];

export const bpfnsOf = (uid: number, ...args: readonly string[]): Outcome => run([...inOwn(uid), bpfnsPath, ...args]);

export const socketOf = (uid: number, name: string): string => `${runDir}-users/${uid}/${name}.sock`;

/** What starts a user's container: test/guests/runtime.c. */
export const runtimeOf = (uid: number, ...args: readonly string[]): string[] => {
  return [...inOwn(uid), guestPath('runtime'), socketOf(uid, 'seccomp'), ...args];
};

/** The part of the configuration that gives a user namespaces, and delegates what `allowed` says. */
export function userTable(uid: number, namespaces: number, allowed: string): string {
  const delegate = allowed.replace(/=([^,]+)/g, ' = "$1"');
  return `[[users]]\nuid = ${uid}\nnamespaces = ${namespaces}\ndelegate = { ${delegate} }\n`;
}
