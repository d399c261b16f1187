// The picture: a sample, a photograph that is dropped, pasted or chosen, or the camera.
import { element, make } from './page.js';

export type Picture = { kind: 'photograph'; file: Blob } | { kind: 'camera'; video: HTMLVideoElement };

interface Listeners {
  onPicture: (picture: Picture) => void;
  onWeights: (file: File) => void;
  onProblem: (error: unknown) => void;
}

const samples = { chelsea: 'a cat', coffee: 'a cup of coffee', rocket: 'a rocket' };

const photo = element('photo', HTMLImageElement);
const video = element('camera', HTMLVideoElement);
const cameraSwitch = element('camera-switch', HTMLButtonElement);
const fileInput = element('picture-file', HTMLInputElement);
const drop = element('drop', HTMLDivElement);

let listeners: Listeners;
let picture: Picture | undefined;

export function currentPicture(): Picture | undefined {
  return picture;
}

export async function openPictures(given: Listeners): Promise<void> {
  listeners = given;
  fileInput.addEventListener('change', () => {
    take(fileInput.files);
    fileInput.value = '';
  });
  element('pick', HTMLButtonElement).addEventListener('click', () => fileInput.click());
  cameraSwitch.addEventListener('click', () => void toggleCamera());
  document.addEventListener('paste', ({ clipboardData }) => take(clipboardData?.files));
  openDrop();
  const buttons = Object.entries(samples).map(([name, what]) => {
    const image = Object.assign(new Image(), { src: addressOf(name), alt: '' });
    const button = Object.assign(make('button', 'sample', image), { type: 'button', title: what });
    button.setAttribute('aria-label', `A photograph of ${what}`);
    button.addEventListener('click', () => void showSample(name));
    return button;
  });
  element('samples', HTMLDivElement).replaceChildren(...buttons);
  await showSample('chelsea');
}

function addressOf(sample: string): string {
  return `./photographs/${sample}.webp`;
}

async function showSample(name: string): Promise<void> {
  try {
    show(await (await fetch(addressOf(name))).blob());
  } catch (error) {
    listeners.onProblem(error);
  }
}

/** The first of these files, an image or weights. */
function take(files: FileList | null | undefined): void {
  const file = files?.[0];
  if (!file) return;
  if (file.type.startsWith('image/')) show(file);
  else listeners.onWeights(file);
}

function show(file: Blob): void {
  stopCamera();
  URL.revokeObjectURL(photo.src);
  photo.src = URL.createObjectURL(file);
  photo.alt = file instanceof File ? file.name : 'The photograph';
  picture = { kind: 'photograph', file };
  listeners.onPicture(picture);
}

/** Whatever is dropped, anywhere on the page. */
function openDrop(): void {
  const hasFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  document.addEventListener('dragleave', ({ relatedTarget }) => (drop.hidden = relatedTarget === null || drop.hidden));
  document.addEventListener('drop', (event) => {
    drop.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    take(event.dataTransfer?.files);
  });
}

async function toggleCamera(): Promise<void> {
  if (picture?.kind === 'camera') {
    stopCamera();
    return showSample('chelsea');
  }
  try {
    const wanted = { facingMode: 'environment', width: { ideal: 640 } };
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted });
    await video.play();
  } catch (error) {
    return listeners.onProblem(error);
  }
  photo.hidden = true;
  video.hidden = false;
  cameraSwitch.setAttribute('aria-pressed', 'true');
  picture = { kind: 'camera', video };
  listeners.onPicture(picture);
}

function stopCamera(): void {
  const stream = video.srcObject as MediaStream | null;
  for (const track of stream?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
  photo.hidden = false;
  cameraSwitch.setAttribute('aria-pressed', 'false');
}
