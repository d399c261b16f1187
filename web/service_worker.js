// The service worker: keeps the page's files, so that it works offline, and gives the page the isolation that threads need
// where its host cannot. The build puts `version` and `files` before it.
/* global addEventListener, caches, clients, fetch, Headers, registration, Response, skipWaiting, URL, version, files */

const prefix = `wimm-demo ${registration.scope} `;
const cacheName = prefix + version;
const isolation = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

// Hosts know the page as its folder; some redirect its file there.
const page = './';

/** Keeps a file of this version. What lies in assets/ has its digest in its name: a copy of an older version will do. */
async function keep(cache, file) {
  if (await cache.match(file)) return;
  const kept = file.startsWith('assets/') && (await caches.match(file));
  const response = kept || (await fetch(file, { cache: 'no-cache' }));
  if (!response.ok) throw new TypeError(`${file}: ${response.status}`);
  await cache.put(file, response);
}

async function keepAll() {
  const cache = await caches.open(cacheName);
  await Promise.all([page, ...files].map((file) => keep(cache, file)));
}

/** The version before this one stays, for tabs that still run it. */
async function forgetOld() {
  const old = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== cacheName);
  await Promise.all(old.slice(0, -1).map((name) => caches.delete(name)));
}

/** The file of this page that a request is for. */
function fileOf({ method, url }) {
  const { origin, pathname } = new URL(url);
  const address = origin + pathname;
  if (method !== 'GET' || !address.startsWith(registration.scope)) return undefined;
  const file = address.slice(registration.scope.length);
  if (file === '' || file === 'index.html') return page;
  return file.startsWith('assets/') || files.includes(file) ? file : undefined;
}

async function answer(file, request) {
  const cache = await caches.open(cacheName);
  const response = (await cache.match(file)) ?? (await caches.match(file)) ?? (await fetch(request));
  return ['document', 'iframe', 'worker'].includes(request.destination) ? isolate(response) : response;
}

function isolate(response) {
  const { body, status, statusText } = response;
  if (response.type === 'opaqueredirect') return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(isolation)) headers.set(name, value);
  return new Response(body, { status, statusText, headers });
}

// The first one starts at once, so that the page is isolated before its visitor begins, and keeps the files when the page
// asks. A later one keeps them first, and starts when the page asks, or is nowhere open.
addEventListener('install', (event) => event.waitUntil(registration.active ? keepAll() : skipWaiting()));
addEventListener('activate', (event) => event.waitUntil(clients.claim().then(forgetOld)));
addEventListener('message', (event) => {
  const { data, source } = event;
  event.waitUntil(data === 'start' ? skipWaiting() : keepAll().then(() => source.postMessage('kept')));
});
addEventListener('fetch', (event) => {
  const file = fileOf(event.request);
  if (file !== undefined) event.respondWith(answer(file, event.request));
});
