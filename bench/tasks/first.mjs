// A runtime's first result.
import { image } from '../image.mjs';
import { peers } from '../peers/index.mjs';

/** Loads and runs `job`: { model, shape, threads, peer }. */
export async function first(job, engine) {
  const runner = await peers[job.peer].load({ ...job, ...engine });
  await runner.forward(image(job.shape)[peers[job.peer].layout]);
  return {};
}
