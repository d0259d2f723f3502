/** Words of 主动获取, 导入 and 路由与预取; `zhCN` and `en` have the same shape. */
export const zhCN = {
  schedule: { always: '全天', add: '添加时段', remove: '删除', days: { 1: '一', 2: '二', 3: '三', 4: '四', 5: '五', 6: '六', 7: '日' } },
  acquire: {
    title: '主动获取', hint: '定时向旧 PACS 或设备查询检查（C-FIND），取回本院尚缺的影像（C-MOVE 或 C-GET），逐幅核对是否齐全。', add: '新增任务', edit: '修改任务', none: '还没有主动获取任务',
    noneHint: '先在“DICOM 节点”登记来源，再新增任务，例如每天 01:00 取回昨日检查', name: '名称', source: '来源节点', root: '查询模型', study: 'Study Root', patient: 'Patient Root', method: '取回方式', move: 'C-MOVE（来源送到本院 AE）',
    get: 'C-GET（在本院发起的连接上取回）', dates: '检查日期', today: '当天', yesterday: '昨天', 'last-days': '最近几天', between: '指定日期', any: '不限', days: '天', modalities: '类型（空为全部）', station: '机房（Station Name）', patientId: '患者号',
    accession: '检查号', schedule: '运行', manual: '手动', every: '每隔', minutes: '分钟', cron: '定时（cron）', cronHint: '分 时 日 月 周，例如 0 1 * * * 为每天 01:00', windows: '允许运行的时段', maxStudies: '每次最多检查数', pause: '检查间隔（秒）',
    parallel: '同时取回', retries: '缺失时重取次数', enabled: '启用', next: '下次', last: '最近一次', never: '尚未运行', runNow: '立即运行', started: '已开始获取', removed: '已删除“{name}”', undo: '撤销', restored: '已恢复', off: '已停用',
    runs: '运行记录', noRuns: '还没有运行过', trigger: { schedule: '定时', person: '人工', prefetch: '预取' }, began: '开始', result: '结果', studies: '检查', images: '影像', held: '本院已有', complete: '齐全', partial: '不齐', failed: '失败',
    state: { asking: '正在查询', fetching: '正在取回', waiting: '等待', complete: '齐全', partial: '不齐', failed: '失败', cancelled: '已取消' }, waitsFor: '{at} 继续', cancel: '取消', retry: '重取缺失', details: '明细', truncated: '检查数超过上限，只取了前面的部分',
    uid: '检查', hidden: '不在您的查看范围内', proof: { instances: '逐幅核对', count: '按幅数核对', none: '来源未说明' }, proofTitle: '核对', missing: '缺 {n} 幅', attempts: '取回次数', date: '日期', noStudies: '来源没有符合条件的检查', needName: '请填写名称', needSource: '请选择来源节点', noNodes: '请先在“DICOM 节点”登记来源',
  },
  importing: {
    title: '导入', hint: '把光盘、U 盘文件夹或 ZIP 拖到这里。非 DICOM 文件会跳过，已有的影像不会重复保存，中途断开可以重来。', drop: '拖放文件、文件夹或 ZIP', or: '或', pickFolder: '选择文件夹', pickFiles: '选择文件或 ZIP', sending: '正在上传 {sent} / {total}', reading: '正在读取',
    cancel: '取消', cancelled: '已取消，已保存的影像保留', done: '导入完成', none: '还没有导入过影像', noneHint: '光盘内若有 DICOMDIR，会自动核对是否齐全', name: '名称', began: '开始', by: '导入人', result: '结果', stored: '新增', duplicate: '重复', replaced: '替换', skipped: '跳过',
    failed: '失败', files: '文件', studies: '检查', size: '大小', details: '明细', listed: 'DICOMDIR 列出 {n} 幅', complete: '齐全', missing: '缺 {n} 幅', state: { open: '上传中', reading: '读取中', done: '完成', cancelled: '已取消', failed: '中断' }, folder: '服务器导入文件夹',
    file: '文件', outcome: '结果', reason: '原因', onlyProblems: '只看失败和跳过', all: '全部', retry: '有 {n} 个文件上传失败，可再次拖入同一文件夹补传', empty: '没有找到文件', lineLost: '与服务器的连接中断，正在重试',
  },
  routing: {
    title: '路由与预取', hint: '按规则把收到的检查自动送往其他节点，或为新检查预先准备患者的旧片。', rules: '规则', queue: '发送队列', destinations: '目的节点', log: '记录', add: '新增规则', edit: '修改规则', none: '还没有规则', noneHint: '例如：AE1 的 CT 收齐后自动送工作站；新检查登记后把同部位旧片送到读片站',
    name: '名称', enabled: '启用', off: '已停用', event: '何时', 'study-received': '检查收齐（静默 {n} 秒）', studyReceived: '检查收齐', 'exam-new': '有新检查（登记或首幅影像到达）', quiet: '静默时间（秒）', when: '条件', whenHint: '不填的条件不限制', callingAeTitles: '来源 AE Title', modalities: '类型', bodyParts: '部位',
    campuses: '院区', departments: '科室', accessionPattern: '检查号（可用 * ?）', action: '动作', send: '发送检查', 'send-priors': '预取：把本院旧片送往节点', 'fetch-priors': '预取：从旧 PACS 取回旧片', to: '送往', source: '来源 PACS', seriesModalities: '只送这些类型的序列（空为整个检查）', commitment: '送达后请对方承诺保存（存储确认）', maxStudies: '最多份数', maxYears: '最近几年',
    sameBodyPart: '只要相同部位', unknownBodyPart: '部位不明的也要', modalityMap: '类型对照', modalityMapHint: '每行一条，例如 CT=CT,MR；未写的只比对相同类型', windows: '允许发送的时段', priority: '优先级（1 最先）', giveUp: '多少小时后仍失败则转人工', anyCondition: '所有检查', trial: '用现有检查试算', trialNone: '现有检查中没有符合的',
    trialResult: '最近 {n} 份检查中的结果（不会真的发送）', trialMatched: '符合', trialNot: '不符合：{why}', trialTo: '送往 {to}', trialPriors: '旧片 {n} 份', removed: '已删除“{name}”', undo: '撤销', restored: '已恢复', study: '检查', hidden: '不在您的查看范围内', node: '节点', state: '状态', progress: '进度', rule: '规则', pushed: '推送到达', next: '下次 {at}',
    queueNone: '队列是空的', queueNoneHint: '符合规则的检查和推送到达的检查会在这里排队发送', all: '全部', waiting: '等待', running: '发送中', retrying: '等待重试', done: '完成', failed: '需人工处理', cancelled: '已取消', retry: '重试', cancel: '取消', associations: '同时连接数', speed: '限速（KB/s）', unlimited: '不限', speedHint: '专线较窄时限制速度，检查排队而不会失败',
    waitingCount: '待发', failedCount: '失败', save: '保存', logNone: '还没有记录', at: '时间', what: '结果', outcome: { queued: '已排队', asked: '已请求旧片', loop: '不送回来源', nothing: '无可送', delivered: '已送达', failed: '失败', fetched: '已取回' }, because: '依据', needNode: '请选择节点', needName: '请填写名称', conflict: '该规则已被他人修改，请重新打开',
    limited: '限速时不低于 64 KB/s',
  },
  parameters: { title: '来自平台的参数', hint: '区域平台统一下发；平台不可用时按最近一次收到的执行。', none: '平台没有下发参数，按本院配置执行', studiesAtOnce: '每次上传数量（检查）', uploadThreads: '上传线程数', platform: '平台', configured: '本院配置', inForce: '生效', received: '收到时间', s3: 'S3 存储', s3None: '未下发', secret: '密钥已加密保存' },
} // prettier-ignore

type Shape<T> = { [K in keyof T]: T[K] extends string ? string : Shape<T[K]> }

export const en: Shape<typeof zhCN> = {
  schedule: { always: 'At any time', add: 'Add hours', remove: 'Remove', days: { 1: 'Mo', 2: 'Tu', 3: 'We', 4: 'Th', 5: 'Fr', 6: 'Sa', 7: 'Su' } },
  acquire: {
    title: 'Acquisition', hint: 'Asks an older PACS or a device for studies (C-FIND), fetches what is missing here (C-MOVE or C-GET), and compares image by image.', add: 'Add job', edit: 'Change job', none: 'No jobs yet',
    noneHint: 'Register the source under “DICOM nodes”, then add a job: for example yesterday’s studies at 01:00', name: 'Name', source: 'Source', root: 'Model', study: 'Study Root', patient: 'Patient Root', method: 'Retrieve by', move: 'C-MOVE (the source sends to our AE)',
    get: 'C-GET (on the association that we open)', dates: 'Study date', today: 'Today', yesterday: 'Yesterday', 'last-days': 'The last days', between: 'Given days', any: 'Any', days: 'days', modalities: 'Modalities (none: all)', station: 'Station Name', patientId: 'Patient ID',
    accession: 'Accession', schedule: 'Runs', manual: 'By hand', every: 'Every', minutes: 'minutes', cron: 'At times (cron)', cronHint: 'minute hour day month weekday, 0 1 * * * is every day at 01:00', windows: 'Hours in which it may run', maxStudies: 'Studies in one run', pause: 'Pause between studies (s)',
    parallel: 'At once', retries: 'Asks again for what is missing', enabled: 'Enabled', next: 'Next', last: 'Last', never: 'Has not run', runNow: 'Run now', started: 'Started', removed: '“{name}” removed', undo: 'Undo', restored: 'Restored', off: 'Off',
    runs: 'Runs', noRuns: 'Nothing has run yet', trigger: { schedule: 'Schedule', person: 'By hand', prefetch: 'Prefetch' }, began: 'Began', result: 'Result', studies: 'Studies', images: 'Images', held: 'Held before', complete: 'Complete', partial: 'Partial', failed: 'Failed',
    state: { asking: 'Asking', fetching: 'Fetching', waiting: 'Waiting', complete: 'Complete', partial: 'Partial', failed: 'Failed', cancelled: 'Cancelled' }, waitsFor: 'goes on at {at}', cancel: 'Cancel', retry: 'Fetch what is missing', details: 'Details', truncated: 'More studies than allowed were found; the first were taken',
    uid: 'Study', hidden: 'Outside what you may see', proof: { instances: 'Image by image', count: 'By number', none: 'Source does not say' }, proofTitle: 'Compared', missing: '{n} missing', attempts: 'Attempts', date: 'Date', noStudies: 'The source has nothing that fits', needName: 'Enter a name', needSource: 'Choose the source', noNodes: 'Register the source under “DICOM nodes” first',
  },
  importing: {
    title: 'Import', hint: 'Drop a disc, a folder or a ZIP file here. What is no DICOM is passed over, nothing is stored twice, and a broken-off import can be repeated.', drop: 'Drop files, folders or ZIP', or: 'or', pickFolder: 'Choose a folder', pickFiles: 'Choose files or ZIP', sending: 'Sending {sent} / {total}', reading: 'Reading',
    cancel: 'Cancel', cancelled: 'Cancelled; what is stored stays', done: 'Import finished', none: 'Nothing imported yet', noneHint: 'With a DICOMDIR it is checked whether everything came', name: 'Name', began: 'Began', by: 'By', result: 'Result', stored: 'new', duplicate: 'repeated', replaced: 'replaced', skipped: 'skipped',
    failed: 'failed', files: 'Files', studies: 'Studies', size: 'Size', details: 'Details', listed: 'DICOMDIR lists {n}', complete: 'complete', missing: '{n} missing', state: { open: 'Sending', reading: 'Reading', done: 'Done', cancelled: 'Cancelled', failed: 'Broken off' }, folder: 'Import folder of the server',
    file: 'File', outcome: 'Result', reason: 'Reason', onlyProblems: 'Failed and skipped only', all: 'All', retry: '{n} files could not be sent; drop the same folder again', empty: 'No files found', lineLost: 'The connection was lost, trying again',
  },
  routing: {
    title: 'Routing', hint: 'Sends studies on by rules, and has earlier studies ready for new exams.', rules: 'Rules', queue: 'Queue', destinations: 'Destinations', log: 'Log', add: 'Add rule', edit: 'Change rule', none: 'No rules yet', noneHint: 'For example: CT from AE1 goes to the workstation; earlier studies go to the reading room when an exam is registered',
    name: 'Name', enabled: 'Enabled', off: 'Off', event: 'When', 'study-received': 'study received (quiet for {n} s)', studyReceived: 'Study received', 'exam-new': 'new exam (registered, or first images)', quiet: 'Quiet for (s)', when: 'Conditions', whenHint: 'Empty ones do not restrict', callingAeTitles: 'From AE titles', modalities: 'Modalities', bodyParts: 'Body parts',
    campuses: 'Campuses', departments: 'Departments', accessionPattern: 'Accession number (* ?)', action: 'Action', send: 'Send the study', 'send-priors': 'Prefetch: send earlier studies that are here', 'fetch-priors': 'Prefetch: fetch from an older PACS', to: 'To', source: 'Older PACS', seriesModalities: 'Only series of (none: whole study)', commitment: 'Afterwards ask the node to answer for them (storage commitment)', maxStudies: 'At most', maxYears: 'Years back',
    sameBodyPart: 'Same body part only', unknownBodyPart: 'Also where the body part is not told', modalityMap: 'Compared modalities', modalityMapHint: 'One in a line, CT=CT,MR; otherwise the same modality', windows: 'Hours in which it may send', priority: 'Priority (1 first)', giveUp: 'Hours until a person has to look', anyCondition: 'every study', trial: 'Try on studies that are here', trialNone: 'None of the studies fits',
    trialResult: 'Of the newest {n} studies (nothing is sent)', trialMatched: 'fits', trialNot: 'does not fit: {why}', trialTo: 'to {to}', trialPriors: '{n} earlier', removed: '“{name}” removed', undo: 'Undo', restored: 'Restored', study: 'Study', hidden: 'Outside what you may see', node: 'Node', state: 'State', progress: 'Progress', rule: 'Rule', pushed: 'pushed to us', next: 'next {at}',
    queueNone: 'The queue is empty', queueNoneHint: 'Studies that rules name, and pushed ones, wait here to be sent', all: 'All', waiting: 'Waiting', running: 'Sending', retrying: 'Tries again', done: 'Done', failed: 'Needs a person', cancelled: 'Cancelled', retry: 'Retry', cancel: 'Cancel', associations: 'Associations', speed: 'Limit (KB/s)', unlimited: 'none', speedHint: 'Over a narrow line studies wait in the queue instead of failing',
    waitingCount: 'Waiting', failedCount: 'Failed', save: 'Save', logNone: 'Nothing yet', at: 'Time', what: 'Result', outcome: { queued: 'Queued', asked: 'Asked for', loop: 'Not sent back', nothing: 'Nothing to send', delivered: 'Delivered', failed: 'Failed', fetched: 'Fetched' }, because: 'Because', needNode: 'Choose a node', needName: 'Enter a name', conflict: 'Somebody else has changed the rule, open it again',
    limited: 'At least 64 KB/s',
  },
  parameters: { title: 'Parameters of the platform', hint: 'Given by the region; while it is away the last ones count.', none: 'The platform has given none, the hospital’s own count', studiesAtOnce: 'Studies at once', uploadThreads: 'Upload threads', platform: 'Platform', configured: 'Own', inForce: 'In force', received: 'Received', s3: 'S3 storage', s3None: 'not given', secret: 'the secret is kept encrypted' },
} // prettier-ignore
