/** Words of the study list; `zhCN` and `en` have the same shape. */
export const zhCN = {
  studies: {
    title: '检查影像',
  },
}

export const en: typeof zhCN = {
  studies: {
    title: 'Studies',
  },
}
