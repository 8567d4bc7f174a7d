/** What tests may ask about the running kernel. The answers come from tables, which features.test.ts checks. */
import { features } from '../../src/kernel/features.js';
import { type GuestFeature, guestFeatures } from './guest-features.js';

function feature(name: string): GuestFeature {
  const found = [...features, ...guestFeatures].find((each) => each.name === name);
  if (!found) throw new Error(`no table has a feature '${name}'`);
  return found;
}

/** Whether the running kernel has a feature. */
export function hasFeature(name: string): boolean {
  return feature(name).probe().answer === 'yes';
}

/** For `skip` of a test: the reason why it cannot run here, or false. */
export function lacking(name: string): string | false {
  if (hasFeature(name)) return false;
  const { since, until } = feature(name);
  return `this kernel lacks ${name}, which is there ${until ? `before ${until}` : `since ${since}`}`;
}
