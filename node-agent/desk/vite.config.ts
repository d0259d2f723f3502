import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  base: '/desk/',
  plugins: [vue()],
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 900,
    rollupOptions: { output: { manualChunks: (id: string) => (/node_modules\/(vue|@vue|vue-router|vue-i18n|pinia|@intlify)/.test(id) ? 'vue' : id.includes('node_modules/element-plus') ? 'element' : undefined) } },
  },
  // Development against a node started by `npm start`; the address comes from the environment.
  server: { proxy: Object.fromEntries(['/api', '/dicom-web'].map((path) => [path, process.env.LIANPIAN_NODE_URL ?? 'http://127.0.0.1:8420'])) },
})
