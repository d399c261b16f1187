// Pretrained weights, from a hub with the layout of Hugging Face's, or from where they were first published.

import type { PretrainedCfg } from '../catalogue/index.js';

/** Where the weights of a cfg may be, the best first. */
export function pretrainedAddresses(cfg: PretrainedCfg, hub: string): string[] {
  const addresses: string[] = [];
  if (cfg.hfHubId) {
    const [repository, revision = 'main'] = cfg.hfHubId.split('@');
    const files = cfg.hfHubFilename ? [cfg.hfHubFilename] : ['model.safetensors', 'pytorch_model.bin'];
    addresses.push(...files.map((file) => `${hub}/${repository}/resolve/${revision}/${file}`));
  }
  if (cfg.url) addresses.push(cfg.url);
  return addresses;
}
