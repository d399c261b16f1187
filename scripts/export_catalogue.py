"""Writes what the catalogue knows, from timm: src/catalogue/catalogue.json and js/catalogue/imagenet-labels.ts.

    python scripts/export_catalogue.py [--timm-0.3.4 WHEEL]

Needs timm 1.0.31 and torch (torchvision is stood in for). timm 0.3.4 runs in an interpreter of its own, from its wheel,
which pip fetches where none is given.

The table, one line per architecture, keys in camelCase:
  modules     module -> its `cfg`, the most usual value of each key, and its `architectures`: name -> tag -> what the
              tag's cfg has otherwise. The default tag comes first; null unsets a key; hfHubId "timm/" stands for
              "timm/<arch>.<tag>". An architecture without tags has one named "".
  deprecated  old name -> the `arch` or `arch.tag` that timm maps it to, where timm still has that
  releases    older release -> module -> the names it listed, with weights or without
  retired     as modules: names of older releases that timm has dropped since, with the cfg they had
"""

import argparse
import collections
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TORCHVISION_STUB = ROOT / "tests/parity/torchvision_stub"
TIMM, OLD_TIMM = "1.0.31", "0.3.4"

# Dropped architectures whose kin have moved to a module of their own.
MOVED = {"vit_small_resnet50d_s3_224": "vision_transformer_hybrid"}

# Lets timm 0.3.4 import from its wheel, beside a torch that has lost torch._six.
OLD_TIMM_PRELUDE = """
import collections.abc, json, sys, types
sys.path[:0] = sys.argv[1:]
sys.modules["torch._six"] = types.SimpleNamespace(container_abcs=collections.abc)
import timm
from timm.models import registry
"""

READ_OLD_REGISTRY = """
print(json.dumps({
    name: {
        "module": registry._model_to_module[name],
        "pretrained": name in registry._model_has_pretrained,
        "cfg": getattr(sys.modules[entry.__module__], "default_cfgs", {}).get(name, {}),
    }
    for name, entry in sorted(registry._model_entrypoints.items(), key=lambda item: registry._natural_key(item[0]))
}))
"""


def import_timm():
    sys.path.insert(0, str(TORCHVISION_STUB))
    import timm

    if timm.__version__ != TIMM:
        sys.exit(f"timm {TIMM} is wanted, {timm.__version__} is installed")
    return timm


def run_old_timm(code, wheel=None):
    """What `code` prints, as JSON, run where `timm` and `registry` are those of the old release."""
    with tempfile.TemporaryDirectory() as folder:
        if not wheel:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
            subprocess.run([*pip, f"timm=={OLD_TIMM}"], check=True)
            (wheel,) = pathlib.Path(folder).glob("*.whl")
        command = [sys.executable, "-c", OLD_TIMM_PRELUDE + code, str(TORCHVISION_STUB), str(wheel)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def camel_case(key):
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), key)


def cfg_fields(cfg):
    """A PretrainedCfg as plain data, without what its name says."""
    fields = json.loads(json.dumps(dataclasses.asdict(cfg)))
    return {camel_case(key): value for key, value in fields.items() if key not in ("architecture", "tag")}


def most_usual(cfgs):
    """The most frequent value of each key, over all of `cfgs`."""
    counts = {key: collections.Counter(json.dumps(cfg[key]) for cfg in cfgs) for key in cfgs[0]}
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counts.items()}


def module_table(architectures):
    """{architecture: {tag: cfg}} -> the table's entry for their module."""
    base = most_usual([cfg for tags in architectures.values() for cfg in tags.values()])
    return {
        "cfg": {key: value for key, value in base.items() if value is not None},
        "architectures": {
            name: {tag: {k: v for k, v in cfg.items() if v != base[k]} for tag, cfg in tags.items()}
            for name, tags in architectures.items()
        },
    }


def module_tables(cfgs):
    """{(module, architecture): {tag: cfg}} -> the table's entries, by module."""
    modules = collections.defaultdict(dict)
    for (module, name), tags in cfgs.items():
        modules[module][name] = tags
    return {module: module_table(modules[module]) for module in sorted(modules)}


def read_catalogue(timm, old_wheel):
    registry = timm.models._registry
    old_registry = run_old_timm(READ_OLD_REGISTRY, old_wheel)
    current = {}
    for name in timm.list_models():
        default_cfg = registry._model_default_cfgs[name]
        tags = {tag: cfg_fields(default_cfg.cfgs[tag]) for tag in default_cfg.tags}
        current[registry._model_to_module[name], name] = tags
    retired = {
        (MOVED.get(name, old["module"]), name): {"": cfg_fields(timm.models.PretrainedCfg(**old["cfg"]))}
        for name, old in old_registry.items()
        if not timm.is_model(name)
    }
    release = collections.defaultdict(lambda: {"pretrained": [], "untrained": []})
    for name, old in old_registry.items():
        release[old["module"]]["pretrained" if old["pretrained"] else "untrained"].append(name)
    return {
        "timm": TIMM,
        "modules": module_tables(current),
        "deprecated": {
            name: replacement
            for name, replacement in sorted(registry.get_deprecated_models().items())
            if replacement in registry._model_pretrained_cfgs
        },
        "releases": {OLD_TIMM: dict(sorted(release.items()))},
        "retired": module_tables(retired),
    }


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def lines(entries, text=compact):
    """An object, as JSON with a line for each entry."""
    return "{\n" + ",\n".join(f"{compact(key)}:{text(value)}" for key, value in entries.items()) + "\n}"


def module_text(module):
    return f'{{"cfg":{compact(module["cfg"])},"architectures":{lines(module["architectures"])}}}'


def table_text(catalogue):
    texts = {
        "timm": compact(catalogue["timm"]),
        "modules": lines(catalogue["modules"], module_text),
        "deprecated": lines(catalogue["deprecated"]),
        "releases": lines(catalogue["releases"], lines),
        "retired": lines(catalogue["retired"], module_text),
    }
    return lines(texts, str) + "\n"


def labels_text():
    from timm.data import ImageNetInfo

    labels = ImageNetInfo("imagenet-1k").label_descriptions()
    if any(character in label for label in labels for character in "`$\\\n"):
        sys.exit("a label needs escaping")
    return (
        "// The names of ImageNet-1k's classes (WordNet's lemmas). Written by scripts/export_catalogue.py.\n\n"
        "export const imagenetLabels: readonly string[] = `" + "\n".join(labels) + "`.split('\\n');\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timm-0.3.4", dest="old_wheel", metavar="WHEEL", help="timm 0.3.4's wheel")
    arguments = parser.parse_args()
    timm = import_timm()
    (ROOT / "src/catalogue/catalogue.json").write_text(table_text(read_catalogue(timm, arguments.old_wheel)), "utf-8")
    (ROOT / "js/catalogue/imagenet-labels.ts").write_text(labels_text(), "utf-8")


if __name__ == "__main__":
    main()
