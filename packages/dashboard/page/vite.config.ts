import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

// One script and one style sheet: a report takes both into its file.
export default defineConfig({
  root: path('.'),
  base: './',
  publicDir: false,
  plugins: [svelte()],
  build: {
    outDir: path('../dist/page'),
    emptyOutDir: true,
    // Of all that the script holds of others.
    license: { fileName: 'licenses.md' },
    cssCodeSplit: false,
    // From these on, light-dark() is known; what Vite writes for older ones follows the system's choice alone.
    cssTarget: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    rolldownOptions: { output: { codeSplitting: false } },
  },
  // `npx vite packages/dashboard/page` while working on the page, beside a `conquer dashboard --port 4280`.
  server: { proxy: { '/api': 'http://127.0.0.1:4280' } },
});
