/**
 * Lists third-party code in the bundle: the packages from which esbuild took files, and koffi,
 * which is beside it.
 * Usage: licences META notices|debian|sbom, where META is the file that esbuild --metafile wrote.
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
function packagesIn(metafile: string): Package[] {
  const meta = JSON.parse(readFileSync(metafile, 'utf8')) as { readonly inputs: Readonly<Record<string, unknown>> };
  const bundled = Object.keys(meta.inputs).flatMap(
    (path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? [],
  );
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

/** CycloneDX 1.5, in JSON. */
function sbom(packages: readonly Package[]): string {
  const component = ({ name, version, license }: Package): object => ({
    type: 'library',
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ license: { id: license } }],
  });
  const { name, version, license } = product;
  const subject = { type: 'application', name, version, licenses: [{ license: { id: license } }] };
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: subject },
    components: packages.map(component),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

const forms = { notices, debian: debianNotices, sbom };
const [metafile = '', form = ''] = process.argv.slice(2);
if (!(form in forms)) throw new Error('usage: licences META notices|debian|sbom');
process.stdout.write(forms[form as keyof typeof forms](packagesIn(metafile)));
