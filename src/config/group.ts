/** Groups of the host. */
import { readFileSync } from 'node:fs';

/** A group's id, by its name in /etc/group. */
export function groupId(name: string, file = '/etc/group'): number | undefined {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`));
  const id = line?.split(':')[2];
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined;
}
