// What an engine is asked for. The same in Node.js and in a browser: a task takes its job and the engine's means.
import { compare } from './compare.mjs';
import { first } from './first.mjs';
import { profileLayers } from './layers.mjs';
import { occupy } from './memory.mjs';

const tasks = { compare, first, layers: profileLayers, memory: occupy };

export const run = (job, engine) => tasks[job.task](job, engine);
