// The catalogue's data, parsed at the first call. scripts/export_catalogue.py says how the table is laid out.

import tableText from '../../src/catalogue/catalogue.json' with { type: 'text' };
import leftOutText from '../../src/catalogue/left_out.json' with { type: 'text' };
import modulesText from '../../src/catalogue/modules.json' with { type: 'text' };

/** What a set of pretrained weights was trained for: timm's `pretrained_cfg`, its keys in camelCase. */
export interface PretrainedCfg {
  /** timm's name of the model, without a tag. */
  architecture: string;
  /** Names the weights among those of the architecture. */
  tag?: string;
  /** Where the weights were first published; empty where only the hub has them. */
  url?: string;
  /** The repository of the Hugging Face hub that has the weights. */
  hfHubId?: string;
  /** The file there; by default 'model.safetensors', or else 'pytorch_model.bin'. */
  hfHubFilename?: string;
  /** The weights are in a format of their own, not in PyTorch's. */
  customLoad: boolean;
  /** [C, H, W] of the images that the weights were trained on, in pixels. */
  inputSize: [number, number, number];
  /** [C, H, W] at which the weights are said to do better; `preprocess` takes `inputSize`. */
  testInputSize?: [number, number, number];
  /** [C, H, W] of the least that the architecture takes. */
  minInputSize?: [number, number, number];
  /** Images have to be of `inputSize`, or of what the option `imgSize` says. */
  fixedInputSize: boolean;
  /** How images are resized: 'bilinear' or 'bicubic', as PIL does. */
  interpolation: string;
  /** The part of the resized image, in each direction, that the crop keeps. */
  cropPct: number;
  /** `cropPct` for `testInputSize`. */
  testCropPct?: number;
  /** What is done with images that are not square: timm's 'center', 'squash' or 'border'. */
  cropMode: string;
  /** Of each channel, of samples from 0 to 1: it is subtracted. */
  mean: number[];
  /** Of each channel: it is divided by. */
  std: number[];
  /** Logits of the weights, without those of `labelOffset`; 0 where there is no classifier. */
  numClasses: number;
  /** Rows of the file's classifier that come before the first class, and are left out. */
  labelOffset?: number;
  /** Names of the classes, where they are not ImageNet's. */
  labelNames?: string[];
  /** What those names mean. */
  labelDescriptions?: Record<string, string>;
  /** [H, W] of the last feature map, for `inputSize`; null where timm does not say. */
  poolSize: number[] | null;
  /** [H, W] of the last feature map, for `testInputSize`. */
  testPoolSize?: number[];
  /** timm's path of what `inChans` adapts: the first convolution, or several. */
  firstConv: string | string[] | null;
  /** timm's path of what `numClasses` resizes: the last layer, or several. */
  classifier: string | string[] | null;
  /** Of the weights: its SPDX name in lower case, such as 'apache-2.0', where timm says. */
  license?: string;
  /** What the weights are, in words. */
  description?: string;
  /** Where the model was first published. */
  originUrl?: string;
  /** The title of the paper. */
  paperName?: string;
  /** The paper's number, such as 'arXiv:1512.03385'. */
  paperIds?: string | string[];
  /** Remarks of timm's. */
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
  constructor(
    readonly name: string,
    readonly module: string,
    private readonly base: CfgFields,
    private readonly cfgs: Record<string, CfgFields>,
  ) {}

  get tags(): readonly string[] {
    return Object.keys(this.cfgs);
  }

  /** `arch.tag` */
  nameOf(tag: string): string {
    return tag ? `${this.name}.${tag}` : this.name;
  }

  hasWeights(tag: string): boolean {
    const { url, hfHubId } = { ...this.base, ...this.cfgs[tag] };
    return Boolean(url || hfHubId);
  }

  /** A fresh copy. */
  cfg(tag: string): PretrainedCfg {
    const fields = structuredClone({ ...this.base, ...this.cfgs[tag] });
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
  /** But not these, most of them the largest. */
  leftOut: Set<string>;
}

let decoded: Catalogue | undefined;

export function catalogue(): Catalogue {
  return (decoded ??= decode(
    JSON.parse(tableText) as Table,
    JSON.parse(modulesText) as string[],
    JSON.parse(leftOutText) as string[],
  ));
}

function decode(table: Table, implemented: string[], leftOut: string[]): Catalogue {
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
    leftOut: new Set(leftOut),
  };
}

function architecturesOf(modules: Record<string, ModuleTable>): Map<string, Architecture> {
  return new Map(
    Object.entries(modules).flatMap(([module, { cfg, architectures }]) =>
      Object.entries(architectures).map(([name, cfgs]) => [name, new Architecture(name, module, cfg, cfgs)]),
    ),
  );
}
