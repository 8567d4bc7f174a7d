/**
 * Lists third-party code in the bundle: the packages from which esbuild took files, and koffi,
 * which is beside it.
 * Usage: licences notices|debian|sbom [STATUS]. STATUS is dpkg's file of what is installed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import product from '../package.json' with { type: 'json' };

interface Package {
  readonly name: string;
  readonly version: string;
  /** The SPDX identifier. */
  readonly license: string;
  readonly directory: string;
}

/** All npm packages that are installed with bpfns. */
function packagesIn(metafiles: readonly string[]): Package[] {
  const inputs = metafiles.flatMap((file) => {
    const meta = JSON.parse(readFileSync(file, 'utf8')) as { readonly inputs: Readonly<Record<string, unknown>> };
    return Object.keys(meta.inputs);
  });
  const bundled = inputs.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []);
  const native = readdirSync('node_modules/@koromix').map((name) => `node_modules/@koromix/${name}`);
  return [...new Set([...bundled, 'node_modules/koffi', ...native])].sort().map((directory) => {
    const { name, version, license } = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as Package;
    if (!license) throw new Error(`${directory}: no licence in its package.json`);
    return { name, version, license, directory };
  });
}

/** The text of the licence in the package. For koffi's native module it is in koffi. */
function textOf({ name, directory }: Package): string {
  const place = name.startsWith('@koromix/') ? 'node_modules/koffi' : directory;
  const file = readdirSync(place).find((each) => /^licen[cs]e(\.\w+)?$/i.test(each));
  if (!file) throw new Error(`${place}: no file with the licence`);
  return readFileSync(`${place}/${file}`, 'utf8').trim();
}

const heading = ({ name, version, license }: Package): string => `${name} ${version} (${license})`;

function notices(packages: readonly Package[]): string {
  return packages.map((each) => `${heading(each)}\n\n${textOf(each)}\n`).join(`\n${'-'.repeat(80)}\n\n`);
}

/** For Debian's copyright file, which refers to the texts that Debian has. */
function debianNotices(packages: readonly Package[]): string {
  return packages
    .map((each) => {
      const common = each.license === 'Apache-2.0';
      const text = common ? 'The licence is in /usr/share/common-licenses/Apache-2.0.' : textOf(each);
      return `${heading(each)}\n\n${text}\n`;
    })
    .join('\n\n');
}

interface Component {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly license?: string;
}

/** What dpkg says is installed; its licences are in the packages' copyright files. */
function debianComponents(status: string): Component[] {
  return status.split('\n\n').flatMap((entry) => {
    const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(entry)?.[1];
    const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
    if (!name || !version || field('Status') !== 'install ok installed') return [];
    return [{ name, version, purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch ?? ''}` }];
  });
}

/** CycloneDX 1.5, in JSON. @param dpkg the status file of dpkg, where Debian packages are part of it */
function sbom(packages: readonly Package[], dpkg: string | undefined): string {
  const fromNpm = packages.map(({ name, version, license }) => ({
    name,
    version,
    license,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
  }));
  const fromDebian = dpkg === undefined ? [] : debianComponents(readFileSync(dpkg, 'utf8'));
  const component = ({ license, ...known }: Component): object => ({
    type: 'library',
    ...known,
    ...(license ? { licenses: [{ license: { id: license } }] } : {}),
  });
  const { name, version, license } = product;
  const subject = { type: 'application', name, version, licenses: [{ license: { id: license } }] };
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: subject },
    components: [...fromNpm, ...fromDebian].map(component),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

const [form, dpkg] = process.argv.slice(2);
const packages = packagesIn(['build/bundle.json', 'build/page.json']);
if (form === 'notices') process.stdout.write(notices(packages));
else if (form === 'debian') process.stdout.write(debianNotices(packages));
else if (form === 'sbom') process.stdout.write(sbom(packages, dpkg));
else throw new Error('usage: licences notices|debian|sbom [STATUS]');
