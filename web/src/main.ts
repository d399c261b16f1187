// The demo: what happens when.
import { WimmError, type Progress } from 'wimm';

import { channelsOf, showChannels } from './bands.js';
import { nameOf, openEngine, showEngine } from './engine.js';
import { showFilters } from './filters.js';
import { openLayers, showLayers } from './layers.js';
import { keepOffline } from './offline.js';
import { element, inMegabytes, inMilliseconds } from './page.js';
import { currentPicture, openPictures, type Picture } from './picture.js';
import { markStale, showClasses, showNote } from './results.js';
import { cancel, current, load, type Loaded } from './session.js';
import { currentSetup, openSetup, useWeightsFile, writeAddress } from './setup.js';

const loadButton = element('load', HTMLButtonElement);
const cancelButton = element('cancel', HTMLButtonElement);
const progress = element('progress', HTMLDivElement);
const bar = element('bar', HTMLProgressElement);
const progressText = element('progress-text', HTMLSpanElement);
const problem = element('problem', HTMLParagraphElement);

let loading = 0;
let loadStart = 0;

function tell(error: unknown): void {
  if (error instanceof WimmError && (error.code === 'ERR_ABORTED' || error.code === 'ERR_DISPOSED')) return;
  problem.hidden = false;
  problem.textContent = error instanceof Error ? error.message : String(error);
}

/** Runs `work`, and tells of what goes wrong. */
function attempt(work: () => Promise<void>): void {
  void work().catch(tell);
}

function showProgress({ stage, loaded, total }: Progress): void {
  // It starts before the download, and ends while that is under way.
  if (stage === 'compile') {
    if (loaded === 0) progressText.textContent = 'Starting WebAssembly';
    return;
  }
  if (total) bar.value = loaded / total;
  else bar.removeAttribute('value');
  const share = `${inMegabytes(loaded)}${total ? ` of ${inMegabytes(total)}` : ''}`;
  const speed = inMegabytes((1000 * loaded) / Math.max(1, performance.now() - loadStart));
  progressText.textContent = stage === 'download' ? `Downloading ${share} · ${speed}/s` : `Packing ${share}`;
}

async function start(): Promise<void> {
  const setup = currentSetup();
  const turn = ++loading;
  document.body.dataset.state = 'loading';
  problem.hidden = true;
  progress.hidden = false;
  bar.removeAttribute('value');
  progressText.textContent = 'Starting';
  loadButton.hidden = true;
  cancelButton.hidden = false;
  loadStart = performance.now();
  markStale();
  try {
    const loaded = await load(setup, (step) => turn === loading && showProgress(step));
    writeAddress(setup);
    await showEngine(loaded.model.backend);
    attempt(() => run(loaded));
  } finally {
    if (turn === loading) {
      progress.hidden = true;
      cancelButton.hidden = true;
      loadButton.hidden = false;
    }
  }
}

/** Classifies the picture, then draws what is known of the model. */
async function run(loaded: Loaded): Promise<void> {
  const { model } = loaded;
  const picture = currentPicture();
  if (picture) {
    await classify(loaded, picture);
    await showLayers(model, await model.preprocess(await channelsOf(picture, model.inChans)));
  }
  await showFilters(loaded);
  if (loaded !== current()) return;
  document.body.dataset.state = 'done';
  if (picture?.kind === 'camera') await watch(loaded, picture);
}

/** Classifies the picture, unless another has come meanwhile. */
async function classify({ model }: Loaded, picture: Picture): Promise<void> {
  const image = await channelsOf(picture, model.inChans);
  const begin = performance.now();
  const classes = await model.classify(image);
  const time = performance.now() - begin;
  if (picture !== currentPicture()) return;
  const rate = picture.kind === 'camera' ? `, ${(1000 / time).toFixed(0)} a second` : '';
  showClasses(classes, `${inMilliseconds(time)}${rate} · ${nameOf(model.backend)}`);
}

/** Classifies what the camera sees, frame by frame. */
async function watch(loaded: Loaded, camera: Picture): Promise<void> {
  while (camera === currentPicture() && loaded === current()) {
    await classify(loaded, camera);
    await showChannels(camera, loaded.model.inChans);
  }
}

function onPicture(picture: Picture): void {
  problem.hidden = true;
  markStale();
  attempt(() => showChannels(picture, currentSetup().inChans));
  const loaded = current();
  if (loaded) attempt(() => (picture.kind === 'camera' ? watch(loaded, picture) : classify(loaded, picture)));
}

openSetup({
  onModel: () => {
    showNote('Load the model to classify the picture.');
    markStale();
  },
  onChannels: () => {
    const picture = currentPicture();
    if (picture) attempt(() => showChannels(picture, currentSetup().inChans));
    if (current() || !progress.hidden) attempt(start);
  },
  onSubmit: () => attempt(start),
});
cancelButton.addEventListener('click', cancel);
loadButton.disabled = false; // from now on, a click is heard
attempt(() =>
  openPictures({
    onPicture,
    onWeights: (file) => {
      useWeightsFile(file);
      attempt(start);
    },
    onProblem: tell,
  }),
);
openLayers();
attempt(() => openEngine(() => current() && attempt(start)));
attempt(keepOffline);
