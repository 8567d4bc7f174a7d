/** Groups of the host. */
import { readFileSync } from 'node:fs';

interface Group {
  readonly name: string;
  readonly id: number;
  readonly members: readonly string[];
}

function groups(): Group[] {
  return readFileSync('/etc/group', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [name = '', , id = '', members = ''] = line.split(':');
      return /^\d+$/.test(id) ? [{ name, id: Number(id), members: members.split(',') }] : [];
    });
}

/** A group's id, by its name in /etc/group. */
export function groupId(name: string): number | undefined {
  return groups().find((group) => group.name === name)?.id;
}

/** The ids of the groups that have a user as a member, besides the user's first. */
export function groupsOf(user: string): number[] {
  return groups().flatMap(({ id, members }) => (members.includes(user) ? [id] : []));
}
