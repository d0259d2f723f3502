export default {
  app: { name: '联片阅片', loading: '正在打开…', language: 'English', signOut: '退出', back: '返回', noStudy: '没有指定检查', noStudyHint: '请从工作站的检查列表或会诊列表打开影像。', unsupported: '影像显示组件启动失败' },
  session: { title: '登录后阅片', username: '用户名', password: '密码', signIn: '登录', bothNeeded: '请输入用户名和密码' },
  patient: { sex: { M: '男', F: '女', O: '其他' }, age: { Y: '岁', M: '月', W: '周', D: '天' }, unknown: '姓名未知', hidden: '已隐藏患者信息' },
  series: {
    title: '序列', images: '{count} 幅', frames: '{count} 帧', loading: '正在读取序列…', none: '该检查没有可显示的影像', failed: '序列读取失败', documents: '文档', arriving: '影像接收中 {done}/{total}',
    keyNote: '关键图像说明', open: '打开序列', key: '关键图像',
  },
  viewport: { loading: '载入中', empty: '将左侧序列拖到此处', retry: '重试', progress: '已载入 {loaded}/{total}', keyImage: '关键图像', starting: '正在启动影像显示…', pictureFailed: '第 {index} 幅影像无法显示' },
  tool: {
    scroll: '翻页', window: '调窗', zoom: '缩放', pan: '移动', length: '长度', invert: '反色', rotate: '旋转', flipH: '水平翻转', flipV: '垂直翻转', fit: '适合', actual: '1:1', reset: '重置', cine: '播放', pause: '暂停',
    layout: '布局', mark: '关键图像', unmark: '取消标记', keyOnly: '仅看关键', clear: '清除测量', texts: '四角信息', more: '更多', rate: '{rate} 帧/秒', panel: '会诊', series: '序列',
  },
  preset: { lung: '肺', mediastinum: '纵隔', bone: '骨', brain: '脑', abdomen: '腹部', liver: '肝', vessel: '血管', spine: '脊柱', image: '默认', contrast: '高对比', soft: '柔和', full: '全范围', header: '预设 {n}' },
  window: { width: '窗宽', center: '窗位', 'not-a-number': '请输入数字', 'width-out-of-range': '窗宽应在 1–65536 之间', 'center-out-of-range': '窗位超出范围' },
  measure: { detector: '探测器平面', estimated: '按放大率估算' },
  consult: {
    title: '区域会诊', from: '申请医院', question: '会诊问题', history: '临床病史', historyNone: '未填写', live: '实时', copy: '申请时副本', report: '原报告', reportFindings: '所见', reportImpression: '印象', urgent: '急', routine: '普通',
    state: { queued: '待发送', refused: '被拒绝', submitted: '待接收', accepted: '已接收', started: '阅片中', signed: '已签署', returned: '已返回', read: '已阅', cancelled: '已取消', declined: '已谢绝' },
    event: { submitted: '提交申请', claimed: '接收', released: '释放', declined: '谢绝', started: '开始阅片', signed: '签署意见', returned: '意见送达', read: '查阅意见', cancelled: '取消', 'images-arrived': '影像到达' },
    claim: '接收会诊', release: '释放', decline: '谢绝', sign: '签署意见', pending: '正在等待平台确认…', heldBy: '{hospital} {name} 已于 {time} 接收', writeAfterClaim: '接收会诊后即可书写意见并标记关键图像。',
    findings: '影像所见', opinion: '会诊意见', advice: '建议', findingsHint: '描述部位、大小、密度/信号、边界、强化…', opinionHint: '会诊结论（必填）', adviceHint: '随访、进一步检查或处理建议',
    saved: '已保存 {time}', unsaved: '未修改', waiting: '编辑中…', saving: '正在保存…', saveFailed: '保存失败，将自动重试', loadDraftFailed: '草稿读取失败',
    keyImages: '关键图像', keyImagesNone: '阅片时按 K 键或点击“关键图像”标记当前影像。', keyImagesNoneSigned: '未标记关键图像', note: '备注', addNote: '添加备注', removeKey: '移除标记', markOnlyHolder: '接收会诊后可标记关键图像', markNoTask: '从会诊打开影像时可标记关键图像',
    timeline: '时间线', confirmSign: '签署后意见将发送至 {hospital}，不可再修改。', confirmSignTitle: '签署会诊意见', opinionNeeded: '请填写会诊意见', withKeyImages: '附 {count} 幅关键图像', confirm: '确认签署', cancel: '取消',
    reason: '原因', reasonNeeded: '请填写原因', releaseTitle: '释放会诊', releaseHint: '释放后其他专家可以接收。草稿会保留。', declineTitle: '谢绝会诊', declineHint: '请说明谢绝原因，申请医院会看到。',
    signedBy: '{name} 签署', signatureValid: '签名有效', signatureInvalid: '签名无效', signatureUnknown: '签名待核验', waitingOpinion: '等待专家会诊意见', emptyText: '（无）', failed: '会诊读取失败', agent: '系统', cancelledBy: '会诊已取消', declinedBy: '会诊已被谢绝', signedTitle: '会诊意见已签署',
  },
}
