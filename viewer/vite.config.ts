import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// The decoders ask for these only when they run in Node.
const noNode = fileURLToPath(new URL('src/viewport/no-node.ts', import.meta.url))
const atNode = process.env.LIANPIAN_NODE ?? 'http://127.0.0.1:8420'

export default defineConfig({
  base: '/viewer/',
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [vue()],
  // Cornerstone and its readers of old formats import Node's names; both packages are their browser builds.
  resolve: { alias: { events: 'events/events.js', url: 'url/url.js', fs: noNode, path: noNode } },
  worker: { format: 'es' },
  define: {
    __VUE_OPTIONS_API__: true,
    __VUE_PROD_DEVTOOLS__: false,
    __INTLIFY_JIT_COMPILATION__: true,
    __INTLIFY_DROP_MESSAGE_COMPILER__: false,
  },
  build: { target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 5_000 },
  server: { proxy: { '/api': atNode, '/dicom-web': atNode } },
  optimizeDeps: { exclude: ['@cornerstonejs/dicom-image-loader'], include: ['dicom-parser'] },
})
