/** What is delegated by a BPF token: the words of four mount options of bpffs (delegate_cmds, ...). Pure. */

export const delegationKeys = ['cmds', 'maps', 'progs', 'attachs'] as const;
export type DelegationKey = (typeof delegationKeys)[number];

/** For each key 'any', or the kernel's names, separated by colons. What is missing is not delegated. */
export type Delegation = Readonly<Partial<Record<DelegationKey, string>>>;

/** Numbers, which the kernel takes too, are left out: they could not be compared with names. */
export const delegationWords = /^[a-z][a-z0-9_]*(:[a-z][a-z0-9_]*)*$/;

/** Parses 'cmds=map_create:prog_load,maps=any', or 'any' for all. @returns undefined if it is wrong, or nothing */
export function parseDelegation(text: string): Delegation | undefined {
  if (text === 'any') return Object.fromEntries(delegationKeys.map((key) => [key, 'any']));
  const found: Partial<Record<DelegationKey, string>> = {};
  for (const part of text.split(',')) {
    const [name, words = ''] = part.split('=', 2);
    const key = delegationKeys.find((each) => each === name);
    if (!key || found[key] !== undefined || !delegationWords.test(words)) return undefined;
    found[key] = words;
  }
  return found;
}

/** Formats it as {@link parseDelegation} reads it. */
export function formatDelegation(delegation: Delegation): string {
  return delegationKeys.flatMap((key) => (delegation[key] === undefined ? [] : [`${key}=${delegation[key]}`])).join();
}

/** Whether everything that is wanted is allowed. */
export function isWithin(wanted: Delegation, allowed: Delegation): boolean {
  return delegationKeys.every((key) => {
    const most = namesOf(allowed[key]);
    return most.includes('any') || namesOf(wanted[key]).every((name) => most.includes(name));
  });
}

function namesOf(words: string | undefined): readonly string[] {
  return words === undefined ? [] : words.split(':');
}
