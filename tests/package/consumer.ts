// A program in TypeScript that uses the package's types.
import {
  capabilities,
  configure,
  createModel,
  listModels,
  loadStateDict,
  WimmError,
  type Classification,
  type ErrorCode,
  type Model,
  type Tensor,
} from 'wimm';

configure({ threads: 2, cache: false });
const names: string[] = listModels('resnet*', { pretrained: true });

export async function run(bytes: Uint8Array): Promise<Classification[]> {
  const model: Model = await createModel(names[0], {
    inChans: 25,
    weights: bytes,
    onProgress: ({ stage }) => void stage,
  });
  const { data, shape }: Tensor = await model.forward({ data: new Float32Array(25), shape: [1, 25, 1, 1] });
  const features = await createModel('resnet18', { featuresOnly: true });
  const maps: Tensor[] = await features.forward({ data, shape });
  const weight = (await loadStateDict(bytes)).get('conv1.weight');
  const { variant } = await capabilities();
  if (!weight || !variant || maps.length === 0) throw new WimmError('ERR_INVALID_ARGUMENT', 'nothing');
  const code: ErrorCode = 'ERR_DISPOSED';
  features.dispose();
  return model.classify({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 }, { topK: code.length });
}
