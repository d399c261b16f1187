// The catalogue of timm's models: names, tags and cfgs. Synchronous, without WebAssembly, nothing done on import.

import { quote, WimmError } from '../errors.js';
import { matchesWildcard, nearestNames, sortNaturally } from './match.js';
import { type Architecture, catalogue, type PretrainedCfg } from './table.js';

export type { PretrainedCfg } from './table.js';

/** Of `listModels`. */
export interface ListModelsOptions {
  /** Only models with weights. */
  pretrained?: boolean;
  /** `arch.tag` names, one for each cfg of an architecture. */
  tags?: boolean;
  /** Only models of these modules (families). */
  module?: string | readonly string[];
  /** Wildcards of names to leave out. */
  exclude?: string | readonly string[];
  /**
   * Exactly what that release of timm lists, whether `createModel` can create it or not. timm 0.3.4 had no tags, and
   * modules of its own.
   */
  release?: '0.3.4' | '1.0.31';
}

interface Listed {
  name: string;
  module: string;
  pretrained: boolean;
}

/** A model of the catalogue. */
export interface ResolvedModel {
  arch: string;
  /** '' where the architecture has no tags. */
  tag: string;
  module: string;
  cfg: PretrainedCfg;
}

/** The names of the models that `createModel` creates, in natural order. Errors: `ERR_INVALID_ARGUMENT`. */
export function listModels(options?: ListModelsOptions): string[];
/**
 * Those of the names that match.
 *
 * @param filter wildcards as of Python's fnmatch (`*`, `?`, `[a-z]`, `[!a-z]`); a name is listed if it matches one.
 */
export function listModels(filter?: string | readonly string[], options?: ListModelsOptions): string[];
export function listModels(
  filterOrOptions?: string | readonly string[] | ListModelsOptions,
  options: ListModelsOptions = {},
): string[] {
  if (isPlainObject(filterOrOptions)) return listModels(undefined, filterOrOptions as ListModelsOptions);
  if (!isPlainObject(options)) throw invalid('options', 'an object', options);
  const tags = flag(options.tags, 'tags') && options.release !== '0.3.4';
  const filters = wildcards(filterOrOptions, 'filter', tags);
  const excluded = wildcards(options.exclude, 'exclude', tags);
  const modules = strings(options.module, 'module');
  const pretrained = flag(options.pretrained, 'pretrained');

  const matches = (name: string, patterns: string[]) => patterns.some((pattern) => matchesWildcard(name, pattern));
  const names = listed(options.release, tags)
    .filter((model) => !modules.length || modules.includes(model.module))
    .filter((model) => !pretrained || model.pretrained)
    .map((model) => model.name)
    .filter((name) => (!filters.length || matches(name, filters)) && !matches(name, excluded));
  return sortNaturally(names);
}

/** The modules (families) whose models `createModel` creates, sorted. */
export function listModules(): string[] {
  return [...catalogue().implemented].sort();
}

/** Whether the catalogue knows `name`: an architecture, with a tag or without, or an older name. */
export function isModel(name: string): boolean {
  if (typeof name !== 'string') return false;
  const { architectures, retired, deprecated } = catalogue();
  const [arch] = splitTag(name);
  return architectures.has(arch) || deprecated.has(arch) || retired.has(arch);
}

/** Whether `name`, an `arch`, `arch.tag` or older name, has pretrained weights. */
export function isModelPretrained(name: string): boolean {
  const found = typeof name === 'string' ? find(name) : undefined;
  return found !== undefined && found.architecture.hasWeights(found.tag);
}

/** The cfg of `arch` (of its default tag) or `arch.tag`, a fresh copy. Errors: `ERR_UNKNOWN_MODEL`. */
export function getPretrainedCfg(name: string): PretrainedCfg {
  const { architecture, tag } = lookUp(name);
  return architecture.cfg(tag);
}

/** The tags of an architecture that have weights, the default one first. Errors: `ERR_UNKNOWN_MODEL`. */
export function listPretrainedTags(arch: string): string[] {
  const { architecture } = lookUp(arch);
  return architecture.tags.filter((tag) => tag && architecture.hasWeights(tag));
}

/**
 * What `createModel` creates for `name`.
 *
 * @internal
 */
export function resolveModel(name: string): ResolvedModel {
  const { architecture, tag } = lookUp(name);
  const { name: arch, module } = architecture;
  if (catalogue().leftOut.has(arch)) {
    throw unknown(
      `${quote(name)} is one of the few models, mostly timm's largest, that wimm does not create`,
      name,
      listModels(),
    );
  }
  if (!catalogue().implemented.has(module)) {
    throw unknown(`${quote(name)} is of timm's module ${module}, which wimm does not implement`, name, listModels());
  }
  return { arch, tag, module, cfg: architecture.cfg(tag) };
}

function listed(release: string | undefined, tags: boolean): Listed[] {
  const { architectures, implemented, leftOut, releases } = catalogue();
  if (release === undefined || release === '1.0.31') {
    return [...architectures.values()]
      .filter(({ name, module }) => release || (implemented.has(module) && !leftOut.has(name)))
      .flatMap((architecture) =>
        (tags ? architecture.tags : [architecture.tags[0]]).map((tag) => ({
          name: tags ? architecture.nameOf(tag) : architecture.name,
          module: architecture.module,
          pretrained: architecture.hasWeights(tag),
        })),
      );
  }
  const models = releases.get(release);
  if (!models) throw invalid('release', `one of ${[...releases.keys(), '1.0.31'].join(', ')}`, release);
  return models;
}

/** The architecture and tag that `name` stands for, if any. */
function find(name: string): { architecture: Architecture; tag: string } | undefined {
  const { architectures, retired, deprecated } = catalogue();
  const [arch, tag] = splitTag(deprecated.get(name) ?? name);
  const architecture = architectures.get(arch) ?? retired.get(arch);
  if (!architecture) return undefined;
  if (tag === undefined) return { architecture, tag: architecture.tags[0] };
  return tag && architecture.tags.includes(tag) ? { architecture, tag } : undefined;
}

function lookUp(name: string): { architecture: Architecture; tag: string } {
  if (typeof name !== 'string') throw invalid('name', 'a string', name);
  const found = find(name);
  if (found) return found;
  const { architectures, retired, deprecated } = catalogue();
  const [arch] = splitTag(name);
  const architecture = architectures.get(arch);
  if (architecture) {
    const names = architecture.tags.map((tag) => architecture.nameOf(tag));
    throw unknown(`${arch} has no pretrained tag ${quote(name.slice(arch.length + 1))}`, name, names);
  }
  const names = [...architectures.keys(), ...deprecated.keys(), ...retired.keys()];
  throw unknown(`Unknown model ${quote(name)}`, arch, names);
}

/** 'arch.tag' → ['arch', 'tag']; without a dot the tag is undefined. */
function splitTag(name: string): [string, string | undefined] {
  const dot = name.indexOf('.');
  return dot < 0 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
}

/** Where names have tags, a wildcard without one matches whatever the tag. */
function wildcards(value: unknown, option: string, tags: boolean): string[] {
  const patterns = strings(value, option);
  if (patterns.some((pattern) => pattern.length > 1000)) throw invalid(option, 'at most 1000 characters long', 'more');
  if (!tags) return patterns;
  return patterns.flatMap((pattern) => {
    const [arch, tag] = splitTag(pattern);
    return tag ? [pattern] : [`${arch}.*`, pattern];
  });
}

function strings(value: unknown, option: string): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value ?? ''];
  if (!list.every((entry) => typeof entry === 'string'))
    throw invalid(option, 'a string or an array of strings', value);
  return Array.isArray(value) ? list : list.filter(Boolean);
}

function flag(value: unknown, option: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw invalid(option, 'a boolean', value);
  return value ?? false;
}

function isPlainObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(option: string, wanted: string, got: unknown): WimmError {
  const shown = typeof got === 'string' ? quote(got) : got === null ? 'null' : typeof got;
  return new WimmError('ERR_INVALID_ARGUMENT', `${option} must be ${wanted}, but got ${shown}`);
}

function unknown(problem: string, name: string, candidates: string[]): WimmError {
  const nearest = nearestNames(name, candidates);
  const hint = nearest.length ? `; the nearest names are ${nearest.join(', ')}` : '';
  return new WimmError('ERR_UNKNOWN_MODEL', `${problem}${hint}`, { details: { nearest } });
}
