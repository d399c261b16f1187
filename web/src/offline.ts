// The service worker, by which the page works offline and is isolated on any host, and when it takes effect.
import { element } from './page.js';

const notice = element('notice', HTMLParagraphElement);
const noticeText = element('notice-text', HTMLSpanElement);
const kept = element('kept', HTMLElement);
const noticeButton = element('renew', HTMLButtonElement);

/** Whether the visitor has done anything that a reload would undo. */
let begun = false;

export async function keepOffline(): Promise<void> {
  const { serviceWorker } = navigator as Partial<Navigator>; // only where the page is secure
  if (!serviceWorker || !import.meta.env.PROD) return;
  for (const type of ['pointerdown', 'keydown', 'drop', 'paste']) {
    addEventListener(type, () => (begun = true), { capture: true, once: true });
  }
  let controlled = serviceWorker.controller !== null;
  serviceWorker.addEventListener('controllerchange', () => {
    if (controlled) whenWelcome('A new version is here.', () => location.reload());
    else if (!crossOriginIsolated) whenWelcome('More threads are ready.', () => location.reload());
    controlled = true;
  });
  const registration = await serviceWorker.register('./service_worker.js');
  const offer = () => {
    const { waiting } = registration;
    if (waiting && controlled) whenWelcome('A new version is here.', () => waiting.postMessage('start'));
  };
  const watch = () => registration.installing?.addEventListener('statechange', offer);
  registration.addEventListener('updatefound', watch);
  watch(); // one that was found before
  offer();
  registration.update().catch(() => {}); // not at the browser's leisure; rejected without a network
  serviceWorker.addEventListener('message', () => (kept.hidden = false));
  (await serviceWorker.ready).active?.postMessage('keep');
}

/** At once where the visitor has not begun, or else when asked. */
function whenWelcome(what: string, renew: () => void): void {
  if (!begun) {
    renew();
    return;
  }
  noticeText.textContent = what;
  noticeButton.onclick = () => {
    begun = false;
    renew();
  };
  notice.hidden = false;
}
