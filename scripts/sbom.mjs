// The package's bill of materials, in CycloneDX's format: what it contains of others, by the pins. It names no time and no
// place, so that one commit has one.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { root } from './process.mjs';

const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'));

function component(purlType, type, name, { version, licence, why, sha256, integrity }) {
  const sha512 = integrity && Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
  const hashes = Object.entries({ 'SHA-256': sha256, 'SHA-512': sha512 }).filter(([, content]) => content);
  const purl = `pkg:${purlType}/${name}@${encodeURIComponent(version)}`;
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    ...(why && { description: why }),
    licenses: [{ expression: licence }],
    purl,
    ...(hashes.length > 0 && { hashes: hashes.map(([alg, content]) => ({ alg, content })) }),
  };
}

/** A part of another component, of the same version. */
const part = (name, licence) => ({ type: 'library', name, licenses: [{ expression: licence }] });

/** `bundled`: the names of the packages that are in the JavaScript. */
export function sbom(bundled) {
  const { name, version, license } = readJson('package.json');
  const { sources, shipped, data } = readJson('cmake/third-party.json');
  const { packages } = readJson('package-lock.json');
  const components = [
    ...Object.entries(sources).map(([name, pin]) => component('deb/debian', 'library', name, pin)),
    ...Object.entries(shipped).map(([name, { parts = {}, ...pin }]) => ({
      ...component('generic', 'library', name, pin),
      ...(Object.keys(parts).length > 0 && { components: Object.entries(parts).map((entry) => part(...entry)) }),
    })),
    ...bundled.map((name) => {
      const { version, license: licence, integrity } = packages[`node_modules/${name}`];
      return component('npm', 'library', name, { version, licence, integrity });
    }),
    ...Object.entries(data).map(([name, pin]) => component('generic', 'data', name, pin)),
  ];
  const subject = component('npm', 'library', name, { version, licence: license });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: subject },
    components,
    dependencies: [{ ref: subject['bom-ref'], dependsOn: components.map((entry) => entry['bom-ref']) }],
  };
}
