// docs/models.md: every model of the catalogue with what is known and was measured of it.
import { getPretrainedCfg, listModels, listModules, listPretrainedTags } from '../dist/index.js';

const count = (n) =>
  n === undefined ? '' : n >= 1e9 ? `${(n / 1e9).toPrecision(3)} G` : `${(n / 1e6).toPrecision(n < 1e6 ? 2 : 3)} M`;

/** The weights that timm has of an architecture: their licences, each once. */
function licences(name) {
  const tags = listPretrainedTags(name);
  return [...new Set(tags.map((tag) => getPretrainedCfg(`${name}.${tag}`).license ?? 'not stated'))].join(', ');
}

function row(name, { parameters, multiplyAdds, milliseconds, parity } = {}) {
  return [
    `\`${name}\``,
    count(parameters),
    count(multiplyAdds),
    getPretrainedCfg(name).inputSize.join(' × '),
    milliseconds ?? '',
    parity?.toExponential(1) ?? '',
    listPretrainedTags(name).length || '',
    licences(name),
  ];
}

const head = ['Model', 'Parameters', 'Multiply-adds', 'Input', 'ms', 'Parity', 'Weights', 'Licences of the weights'];
const line = (cells) => `| ${cells.join(' | ')} |`;

/** The page; `results`: by architecture, what `npm run bench:models` has counted and measured. */
export function page(results) {
  const tables = listModules().map((module) => {
    const names = listModels({ module });
    if (names.length === 0) return '';
    return [
      `## ${module}`,
      '',
      line(head),
      line(head.map(() => '---')),
      ...names.map((name) => line(row(name, results[name]))),
      '',
      '',
    ].join('\n');
  });
  return `# Models

All architectures, by timm's modules. A checkpoint of any of them loads from safetensors, \`.pth\` (zip or legacy) or a wimm pack.
_ms_: a forward pass of one image of the input's size in Node.js, one thread, median; measured by \`npm run bench:models\`, on a virtual
machine of two slow cores: compare models with each other, not with yours. _Parity_: the largest difference from timm over all the
model's goldens, of the largest magnitude in timm's tensor. _Weights_: the pretrained tags of timm's catalogue, and their licences.
Times and differences are of models of up to 100 million parameters.

${tables.join('').trim()}
`;
}
