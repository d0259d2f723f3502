import importX from 'eslint-plugin-import-x'
import vue from 'eslint-plugin-vue'
import tseslint from 'typescript-eslint'
import { importDirection } from './scripts/lint/import-direction.mjs'

export default tseslint.config(
  { ignores: ['**/node_modules/**', '**/dist/**', '.run/**', '.cache/**', 'fixtures/**'] },
  ...tseslint.configs.recommended,
  ...vue.configs['flat/essential'],
  {
    files: ['**/*.ts', '**/*.mts', '**/*.mjs', '**/*.vue', '**/*.js'],
    plugins: { 'import-x': importX, lianpian: { rules: { 'import-direction': importDirection } } },
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    rules: {
      'lianpian/import-direction': 'error',
      'import-x/no-self-import': 'error',
      'import-x/no-duplicates': ['error', { 'prefer-inline': true }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
      'no-empty': ['error', { allowEmptyCatch: false }],
      'no-control-regex': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-imports': ['error', { patterns: [{ group: ['**/utils', '**/utils/*', '**/helpers', '**/helpers/*'], message: 'A function that belongs nowhere is a concept without a name yet.' }] }],
      'vue/multi-word-component-names': 'off',
    },
  },
)
