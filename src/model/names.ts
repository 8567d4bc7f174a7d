/** Rules for the names of namespaces. */

/** Why a name is not allowed, or undefined if it is. Names appear in listings and on command lines. */
export function nameProblem(name: string): string | undefined {
  if (name.length > 127) return 'it is longer than 127 characters';
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$/.test(name))
    return 'only letters, digits, _ and (not first) . : @ - may appear';
  if (/^\d+$/.test(name) || /^(self|init|pid:.*)$/.test(name)) return 'it would read as an id, self, init or pid:N';
  return undefined;
}
