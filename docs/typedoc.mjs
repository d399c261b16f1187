// TypeDoc's options: the pages that `npm run docs` writes to build/docs.
import { basename } from 'node:path';

import { Converter } from 'typedoc';

/** Names guides by their files, without the folder. */
function nameGuides({ converter }) {
  converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, guide) => {
    const name = basename(guide.name).toLowerCase();
    guide.name = name[0].toUpperCase() + name.slice(1);
  });
}

const guides = ['models', 'weights', 'channels', 'images', 'memory', 'threads', 'bundlers', 'errors', 'dependencies'];

export default {
  name: 'wimm',
  includeVersion: true,
  tsconfig: '../tsconfig.json',
  entryPoints: ['../js/index.ts'],
  readme: '../README.md',
  projectDocuments: [
    ...guides.map((guide) => `${guide}.md`),
    '../SECURITY.md',
    '../CHANGELOG.md',
    '../CONTRIBUTING.md',
  ],
  plugin: [nameGuides],
  out: '../build/docs',

  excludePrivate: true,
  disableSources: true,
  githubPages: false,
  hideGenerator: true,
  includeHierarchySummary: false,
  navigation: { includeFolders: false },
  visibilityFilters: {},

  // Nothing public goes undocumented, and no link leads nowhere.
  validation: { notDocumented: true },
  intentionallyNotExported: ['PlatformClass'], // of interest to the compiler alone
  treatWarningsAsErrors: true,
};
