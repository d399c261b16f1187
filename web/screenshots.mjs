// `npm run demo:screenshots`: the built demo with real weights, wide and narrow, light and dark, into docs/screenshots.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { preview } from 'vite';

import { samples } from '../scripts/samples.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const folder = fileURLToPath(new URL('../docs/screenshots/', import.meta.url));
const sizes = { wide: { width: 1280, height: 800 }, narrow: { width: 390, height: 844 } };

const { weights } = await samples();
const server = await preview({ root: import.meta.dirname, preview: { port: 0 }, logLevel: 'error' });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
mkdirSync(folder, { recursive: true });
try {
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 2 });
      await context.route('https://huggingface.co/**', (route) => route.fulfill({ path: weights }));
      const page = await context.newPage();
      await page.goto(`${server.resolvedUrls.local[0]}?channels=25`);
      await page.click('#load');
      await page.waitForSelector('body[data-state="done"]');
      await page.waitForSelector('#kept:visible');
      await page.click('.sample >> nth=0'); // again, now that the model is warm
      await page.waitForSelector('#classes:not(.stale) li');
      const image = await page.screenshot({ fullPage: true, animations: 'disabled' });
      await sharp(image).png({ palette: true, effort: 10 }).toFile(`${folder}${size}-${colorScheme}.png`);
      await context.close();
    }
  }
} finally {
  await browser.close();
  await server.close();
}
