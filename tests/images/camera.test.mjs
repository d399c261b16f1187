// A camera's frames are classified one after the other, for ten minutes with WIMM_TEST_ALL=1, and memory stays flat.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { serve } from '../node/support.mjs';
import { answer } from './site.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const args = `--headless --no-sandbox --disable-gpu --autoplay-policy=no-user-gesture-required
  --use-fake-device-for-media-stream --use-fake-ui-for-media-stream`.split(/\s+/);
const skip = !existsSync(executablePath) && `there is no ${executablePath}`;

const seconds = process.env.WIMM_TEST_ALL ? 600 : 16;
const samples = 8;

// A frame of the camera has 3.7 MB as RGBA: were one in ten kept, a few seconds would show. The bounds leave room for
// what allocators and compilers keep, which does not grow with time.
const bounds = { wasm: 0, used: 0, heap: 1e6, resident: 48e6 };

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Bytes that the browser's processes of pages have in memory. */
async function resident(session) {
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const pages = processInfo.filter(({ type }) => type === 'renderer');
  const sizes = pages.map(async ({ id }) => {
    const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => ''); // it has ended
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  });
  return (await Promise.all(sizes)).reduce((a, b) => a + b, 0);
}

test(`${seconds} seconds of a camera leave memory as it was`, { skip }, async (context) => {
  const origin = await serve(answer);
  const browser = await chromium.launch({ executablePath, args });
  context.after(() => browser.close());
  const tab = await browser.newPage();
  await tab.goto(origin);
  const [page, processes] = [await tab.context().newCDPSession(tab), await browser.newBrowserCDPSession()];
  await page.send('Performance.enable');

  await tab.evaluate(async () => {
    const { createModel } = await import('/wimm/index.js');
    const video = document.createElement('video');
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
    Object.assign(video, { srcObject: stream, muted: true });
    await video.play();
    const model = await createModel('mobilenetv3_small_050');
    window.state = { model, video, frames: 0, shown: 0, longest: 0 };
    const count = () => {
      window.state.shown++;
      video.requestVideoFrameCallback(count);
    };
    count();
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) window.state.longest = Math.max(window.state.longest, duration);
    }).observe({ type: 'longtask' });
    /** Classifies what the video shows, as itself and as a frame, until the time is up. */
    window.run = async (milliseconds) => {
      for (const end = performance.now() + milliseconds; performance.now() < end; window.state.frames += 2) {
        await model.classify(video);
        const frame = new VideoFrame(video);
        await model.classify(frame);
        frame.close(); // throws nothing, and is the caller's to do
      }
    };
  });

  const history = [];
  let shown = 0;
  for (let i = 0; i < samples; i++) {
    await tab.evaluate((milliseconds) => window.run(milliseconds), (seconds * 1000) / samples);
    await page.send('HeapProfiler.collectGarbage');
    const { metrics } = await page.send('Performance.getMetrics');
    const { heap: wasm, used } = await tab.evaluate(() => window.state.model.memory());
    const heap = metrics.find(({ name }) => name === 'JSHeapUsedSize').value;
    history.push({ wasm, used, heap, resident: await resident(processes) });
    const before = shown;
    shown = await tab.evaluate(() => window.state.shown);
    assert.ok(shown > before + 1, 'a camera whose frames are kept stands still');
    context.diagnostic(Object.entries(history[i]).map(([name, bytes]) => `${name} ${megabytes(bytes)}`).join(', ')); // prettier-ignore
  }
  const { frames, longest, size } = await tab.evaluate(() => {
    const { frames, longest, video } = window.state;
    return { frames, longest, size: [video.videoWidth, video.videoHeight] };
  });
  context.diagnostic(
    `${frames} frames classified, ${shown} shown, of ${size.join(' × ')}; the longest task took ${longest} ms`,
  );

  assert.deepEqual(size, [1280, 720]);
  assert.ok(frames >= 2 * samples);
  // The least of each half: what a collector has not come to yet is no growth.
  const least = (part, name) => Math.min(...part.map((sample) => sample[name]));
  for (const [name, bound] of Object.entries(bounds)) {
    const growth = least(history.slice(samples / 2), name) - least(history.slice(0, samples / 2), name);
    assert.ok(growth <= bound, `${name} grew by ${megabytes(growth)}`);
  }
});
