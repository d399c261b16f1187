// The catalogue's data, parsed at the first call. scripts/export_catalogue.py says how the table is laid out.

import tableText from '../../src/catalogue/catalogue.json' with { type: 'text' };
import modulesText from '../../src/catalogue/modules.json' with { type: 'text' };

/** What a set of pretrained weights was trained for: timm's `pretrained_cfg`, its keys in camelCase. */
export interface PretrainedCfg {
  architecture: string;
  tag?: string;
  /** Where the weights were first published; empty where only the hub has them. */
  url?: string;
  /** The repository of the Hugging Face hub that has the weights. */
  hfHubId?: string;
  hfHubFilename?: string;
  /** The weights are in a format of their own, not in PyTorch's. */
  customLoad: boolean;
  /** [C, H, W] */
  inputSize: [number, number, number];
  testInputSize?: [number, number, number];
  minInputSize?: [number, number, number];
  fixedInputSize: boolean;
  interpolation: string;
  cropPct: number;
  testCropPct?: number;
  cropMode: string;
  mean: number[];
  std: number[];
  numClasses: number;
  labelOffset?: number;
  labelNames?: string[];
  labelDescriptions?: Record<string, string>;
  poolSize: number[] | null;
  testPoolSize?: number[];
  firstConv: string | string[] | null;
  classifier: string | string[] | null;
  license?: string;
  description?: string;
  originUrl?: string;
  paperName?: string;
  paperIds?: string | string[];
  notes?: string[];
}

/** A part of a cfg; null unsets a key. */
type CfgFields = { [Key in keyof PretrainedCfg]?: PretrainedCfg[Key] | null };

interface ModuleTable {
  cfg: CfgFields;
  architectures: Record<string, Record<string, CfgFields>>;
}

interface Table {
  modules: Record<string, ModuleTable>;
  deprecated: Record<string, string>;
  releases: Record<string, Record<string, { pretrained: string[]; untrained: string[] }>>;
  retired: Record<string, ModuleTable>;
}

// The keys that timm keeps in a cfg where they are null.
const nullable = { poolSize: null, firstConv: null, classifier: null };

/** An architecture of timm with its cfgs by tag, the default tag first ('' where it has none). */
export class Architecture {
  readonly tags: readonly string[];

  constructor(
    readonly name: string,
    readonly module: string,
    private readonly base: CfgFields,
    private readonly cfgs: Map<string, CfgFields>,
  ) {
    this.tags = [...cfgs.keys()];
  }

  /** `arch.tag` */
  nameOf(tag: string): string {
    return tag ? `${this.name}.${tag}` : this.name;
  }

  hasWeights(tag: string): boolean {
    const { url, hfHubId } = { ...this.base, ...this.cfgs.get(tag) };
    return Boolean(url || hfHubId);
  }

  /** A fresh copy. */
  cfg(tag: string): PretrainedCfg {
    const fields = structuredClone({ ...this.base, ...this.cfgs.get(tag) });
    if (fields.hfHubId === 'timm/') fields.hfHubId += this.nameOf(tag);
    const set = Object.entries(fields).filter(([, value]) => value !== null);
    return { architecture: this.name, ...(tag && { tag }), ...nullable, ...Object.fromEntries(set) } as PretrainedCfg;
  }
}

export interface Catalogue {
  /** timm's architectures. */
  architectures: Map<string, Architecture>;
  /** Those of older releases that timm has dropped. */
  retired: Map<string, Architecture>;
  /** Older names, and the `arch` or `arch.tag` that timm maps them to. */
  deprecated: Map<string, string>;
  /** What older releases listed. */
  releases: Map<string, { name: string; module: string; pretrained: boolean }[]>;
  /** The modules whose architectures `createModel` builds. */
  implemented: Set<string>;
}

let decoded: Catalogue | undefined;

export function catalogue(): Catalogue {
  return (decoded ??= decode(JSON.parse(tableText) as Table, JSON.parse(modulesText) as string[]));
}

function decode(table: Table, implemented: string[]): Catalogue {
  return {
    architectures: architecturesOf(table.modules),
    retired: architecturesOf(table.retired),
    deprecated: new Map(Object.entries(table.deprecated)),
    releases: new Map(
      Object.entries(table.releases).map(([release, modules]) => [
        release,
        Object.entries(modules).flatMap(([module, { pretrained, untrained }]) => [
          ...pretrained.map((name) => ({ name, module, pretrained: true })),
          ...untrained.map((name) => ({ name, module, pretrained: false })),
        ]),
      ]),
    ),
    implemented: new Set(implemented),
  };
}

function architecturesOf(modules: Record<string, ModuleTable>): Map<string, Architecture> {
  return new Map(
    Object.entries(modules).flatMap(([module, { cfg, architectures }]) =>
      Object.entries(architectures).map(([name, cfgs]) => [
        name,
        new Architecture(name, module, cfg, new Map(Object.entries(cfgs))),
      ]),
    ),
  );
}
