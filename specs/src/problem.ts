/**
 * One table says how a problem looks at every edge where it can appear. A code is part of our interface and stays;
 * its wording may improve at any time. HTTP carries it as problem details (RFC 9457) together with its facts.
 */
export interface Answer {
  readonly http: number
  /** DIMSE status, PS3.4 B.2.3 and PS3.7 C. */
  readonly dimse?: number
  readonly zh: string
  readonly en: string
}

export const answers = {
  // requests in general
  'request/invalid': { http: 400, zh: '请求内容不符合要求', en: 'The request does not have the expected form' },
  'request/not-found': { http: 404, zh: '没有找到', en: 'Not found' },
  'request/too-large': { http: 413, zh: '内容过大', en: 'The content is too large' },
  'request/too-slow': { http: 408, zh: '请求内容传输过慢', en: 'The request arrives too slowly' },
  'request/too-many': { http: 429, zh: '请求过于频繁，请稍后再试', en: 'Too many requests, try again later' },
  'request/not-acceptable': { http: 406, zh: '无法以所要求的格式提供', en: 'Not available in the form asked for' },
  'request/unsupported-media': { http: 415, zh: '不支持的内容类型', en: 'The content type is not supported' },
  'request/conflict': { http: 409, zh: '内容已被他人修改，请刷新后重试', en: 'Changed by somebody else meanwhile, reload and try again' },
  'outbound/refused': { http: 400, zh: '不允许访问该地址（出站访问策略）', en: 'The outbound policy does not allow this address' },
  'service/internal': { http: 500, zh: '系统内部错误，已记录', en: 'Internal error, it has been logged' },
  'service/switched-off': { http: 503, zh: '该服务已由管理员停用', en: 'An administrator has switched this service off' },
  'service/unavailable': { http: 503, zh: '服务暂不可用', en: 'The service is not available now' },

  // who may
  'access/not-signed-in': { http: 401, zh: '请先登录', en: 'Sign in first' },
  'access/wrong-credentials': { http: 401, zh: '用户名或密码错误', en: 'Wrong user name or password' },
  'access/locked': { http: 429, zh: '登录失败次数过多，请稍后再试', en: 'Too many failed sign-ins, try again later' },
  'access/password-change-needed': { http: 403, zh: '请先修改密码', en: 'Change the password first' },
  'access/password-weak': { http: 400, zh: '密码不符合安全要求', en: 'The password does not meet the policy' },
  'access/second-factor-needed': { http: 403, zh: '此操作需要第二因素认证', en: 'This needs a second factor' },
  'access/second-factor-wrong': { http: 401, zh: '验证码错误、已使用或已过期', en: 'The code is wrong, used or expired' },
  'access/ticket-ended': { http: 401, zh: '登录步骤已超时，请重新登录', en: 'This sign-in has taken too long, begin again' },
  'access/duties-conflict': { http: 409, zh: '系统、安全、审计三类管理权限不能由同一角色或账号兼有', en: 'System, security and audit administration must stay with different roles and accounts' },
  'access/last-administrator': { http: 409, zh: '不能移除该类管理职责的最后一名管理员', en: 'The last administrator of a duty cannot be removed' },
  'access/own-account': { http: 403, zh: '不能对自己的账号执行此操作', en: 'Not with your own account' },
  'access/role-in-use': { http: 409, zh: '仍有账号或用户组持有该角色', en: 'Accounts or groups still hold the role' },
  'access/role-built-in': { http: 409, zh: '内置角色不可修改，请复制后调整', en: 'Built-in roles do not change, copy it instead' },
  'access/organisation-in-use': { http: 409, zh: '该院区或科室仍在使用', en: 'The campus or department is still in use' },
  'access/import-invalid': { http: 400, zh: '导入文件有误，请先修正', en: 'The table has errors, correct them first' },
  'access/oidc-failed': { http: 401, zh: '统一身份认证未成功', en: 'The sign-in of the hospital did not succeed' },
  'access/no-account': { http: 403, zh: '本系统没有与该身份对应的账号', en: 'There is no account for this identity' },
  'access/request-signature': { http: 401, zh: '接口请求签名无效、已过期或被重放', en: 'The signature of the request is wrong, stale or replayed' },
  'access/forbidden': { http: 403, dimse: 0x0124, zh: '没有权限', en: 'Not permitted' },
  'access/out-of-scope': { http: 403, dimse: 0x0124, zh: '该检查不在您的数据权限范围内', en: 'The exam lies outside the scope of your rights' },
  'access/rule-denied': { http: 403, dimse: 0x0124, zh: '访问规则不允许此操作', en: 'A rule of the hospital does not allow this' },
  'access/no-relation': { http: 403, dimse: 0x0124, zh: '您与该患者没有诊疗关系', en: 'You have no treating relation to this patient' },
  'access/not-cleared': { http: 403, dimse: 0x0124, zh: '该检查带有安全标记，您没有查看资格', en: 'The exam carries a security label that you are not cleared for' },
  'access/search-key-needed': { http: 400, dimse: 0xa900, zh: '请先输入姓名、患者号或检查号等查询条件', en: 'Enter a name, patient number or accession number first' },
  'access/reason-needed': { http: 400, zh: '请填写理由', en: 'A reason is needed' },
  'access/export-limit': { http: 429, zh: '今日导出影像数量已达上限', en: 'The number of exports for today is used up' },
  'export/unknown': { http: 404, zh: '没有该导出任务', en: 'No such export' },
  'export/ended': { http: 409, zh: '该导出已取消或已过期，请重新导出', en: 'The export was cancelled or is too old, begin a new one' },
  'export/running': { http: 409, zh: '该导出正在下载', en: 'The export is being downloaded' },
  'export/busy': { http: 429, zh: '同时进行的导出过多，请稍后再试', en: 'Too many exports at once, try again later' },
  'export/too-large': { http: 413, zh: '导出内容超过上限，请分批导出', en: 'The export is larger than allowed, take parts of it' },
  'export/nothing': { http: 409, zh: '没有可以导出的影像', en: 'There is no image that may leave' },
  'export/purpose-names-patient': { http: 400, zh: '用途中含有患者身份信息，请改写', en: 'The purpose names the patient, write it differently' },
  'export/pseudonym-unknown': { http: 404, zh: '该项目中没有此编号', en: 'The project has no such pseudonym' },
  'access/rule-unknown': { http: 404, zh: '没有该访问规则，或已被撤销', en: 'No such rule, or it has been withdrawn' },
  'access/break-glass-unknown': { http: 404, zh: '没有该紧急调阅记录', en: 'No such emergency access' },
  'access/break-glass-reviewed': { http: 409, zh: '该紧急调阅已复核', en: 'This emergency access has been reviewed already' },
  'access/no-grant': { http: 403, zh: '没有该检查的授权', en: 'No grant for this exam' },
  'access/grant-expired': { http: 403, zh: '授权已过期', en: 'The grant has expired' },
  'access/grant-withdrawn': { http: 403, zh: '授权已被收回', en: 'The grant has been withdrawn' },
  'access/assertion-invalid': { http: 403, zh: '对方医院的身份断言无效', en: 'The assertion of identity is not genuine' },
  'access/assertion-expired': { http: 403, zh: '身份断言已过期', en: 'The assertion of identity is not fresh' },
  'access/assertion-replayed': { http: 409, zh: '身份断言被重放', en: 'The assertion of identity has been used before' },
  'access/assertion-needed': { http: 403, zh: '须说明由哪位人员调阅', en: 'The person for whom it is asked must be asserted' },
  'access/no-authorisation': { http: 403, zh: '尚未获得该检查的调阅授权', en: 'Nothing authorises this across hospitals' },
  'access/authorisation-unknown': { http: 404, zh: '没有该授权', en: 'No such authorisation' },
  'access/authorisation-withdrawn': { http: 409, zh: '该授权已收回', en: 'The authorisation has been withdrawn already' },
  'access/authorisation-too-long': { http: 400, zh: '授权期限超过上限', en: 'The authorisation would last too long' },
  'consent/unknown': { http: 404, zh: '没有该患者授权书', en: 'No such consent' },
  'consent/withdrawn': { http: 409, zh: '该患者授权已撤回', en: 'The consent has been withdrawn already' },
  'consent/code-wrong': { http: 403, zh: '授权码无效、已使用或已过期', en: 'The code is wrong, used or expired' },
  'consent/patient-unknown': { http: 409, zh: '本院登记中没有与所填信息一致的患者', en: 'The register knows no patient with these particulars' },
  'search/unknown': { http: 404, zh: '调阅检索已结束，请重新检索', en: 'The search is over, begin again' },
  'access/grant-invalid': { http: 403, zh: '授权签名无效', en: 'The grant is not genuine' },

  // the audit trail
  'audit/unavailable': { http: 503, zh: '审计日志无法写入，暂不能执行此操作', en: 'The audit trail cannot be written, this is not possible now' },
  'audit/conflict': { http: 409, zh: '审计检查点与先前的不一致', en: 'The audit checkpoint contradicts an earlier one' },

  // certificates and envelopes
  'certificate/invalid': { http: 400, zh: '证书无效', en: 'The certificate is not valid' },
  'certificate/expired': { http: 403, zh: '证书不在有效期内', en: 'The certificate is outside its validity' },
  'certificate/revoked': { http: 403, zh: '证书已被吊销', en: 'The certificate has been revoked' },
  'certificate/untrusted': { http: 403, zh: '证书不属于本区域', en: 'The certificate does not chain to the trusted root' },
  'certificate/wrong-passphrase': { http: 403, zh: '私钥口令缺失或错误', en: 'The passphrase of the private key is missing or wrong' },
  'envelope/malformed': { http: 400, zh: '签名信封格式错误', en: 'Not a sealed envelope' },
  'envelope/bad-signature': { http: 403, zh: '签名信封验签失败', en: 'The signature of the envelope is wrong' },
  'envelope/wrong-audience': { http: 403, zh: '签名信封不是发给本方的', en: 'The envelope is addressed to somebody else' },
  'envelope/expired': { http: 403, zh: '签名信封已过期', en: 'The envelope is not fresh' },
  'envelope/replayed': { http: 409, zh: '签名信封被重放', en: 'The envelope has been seen before' },
  'envelope/undecryptable': { http: 403, zh: '签名信封无法解密', en: 'The envelope cannot be decrypted' },
  'envelope/wrong-sender': { http: 403, zh: '信封发送方与通道不符', en: 'The sender is not whom the channel belongs to' },

  // messages between hub and nodes
  'message/unknown-kind': { http: 400, zh: '无法识别的消息类型', en: 'Messages of this kind are not understood here' },
  'message/sequence-conflict': { http: 409, zh: '消息序号冲突', en: 'Another message has come under this number before' },
  'message/lost': { http: 410, zh: '部分消息已无法补发', en: 'Some messages can no longer be resent by their sender' },
  'message/not-failed': { http: 409, zh: '该消息无需重试', en: 'There is nothing to retry in this message' },

  // membership of a region
  'region/unknown-hospital': { http: 404, zh: '未知的医院', en: 'Unknown hospital' },
  'region/hospital-exists': { http: 409, zh: '医院标识或代码已被使用', en: 'The hospital identifier or code is already taken' },
  'region/wrong-join-code': { http: 403, zh: '加入码无效、已使用或已过期', en: 'The join code is wrong, used or expired' },
  'region/wrong-root': { http: 403, zh: '平台根证书与加入码不符', en: 'The platform root differs from the one the join code names' },
  'region/not-joined': { http: 409, zh: '本院尚未加入区域平台', en: 'This hospital has not joined a region' },
  'region/hub-unreachable': { http: 503, zh: '无法连接区域平台', en: 'The regional hub cannot be reached' },
  'region/hospital-offline': { http: 503, zh: '对方医院当前离线', en: 'The other hospital is offline now' },
  'region/task-type-disabled': { http: 403, zh: '本院未开通该协作类型', en: 'This task type is not enabled for the hospital' },
  'region/flow-mode-disabled': { http: 403, zh: '本院未开通该数据流动模式', en: 'This data-flow mode is not enabled for the hospital' },
  'region/not-a-submitter': { http: 403, zh: '本院不是提交方', en: 'The hospital is not a submitter' },
  'region/not-a-processor': { http: 403, zh: '该医院不是处理方', en: 'The hospital is not a processor' },
  'region/no-data-centre': { http: 409, zh: '区域内没有数据中心', en: 'The region has no data centre' },

  // consultation
  'consult/no-processor': { http: 409, zh: '区域内没有可以处理该会诊的医院', en: 'No hospital of the region can take this consultation' },
  'consult/unknown-task': { http: 404, zh: '没有这个会诊', en: 'No such consultation' },
  'consult/exists': { http: 409, zh: '会诊编号已存在', en: 'The consultation exists already' },
  'consult/not-offered-here': { http: 403, zh: '该会诊未分配给本院', en: 'The consultation is not offered to this hospital' },
  'consult/not-yours': { http: 403, zh: '只有申请医院可以执行此操作', en: 'Only the submitting hospital may do this' },
  'consult/not-open': { http: 409, zh: '会诊当前状态不允许此操作', en: 'The state of the consultation does not allow this' },
  'consult/held': { http: 409, zh: '该会诊已被他人接收', en: 'Somebody else holds the consultation' },
  'consult/not-holder': { http: 409, zh: '您未持有该会诊', en: 'You do not hold the consultation' },
  'consult/stale-revision': { http: 409, zh: '会诊已被更新，请刷新', en: 'The consultation has moved on, reload' },
  'consult/already-signed': { http: 409, zh: '会诊意见已签署，不能取消', en: 'The opinion is signed, it can no longer be cancelled' },
  'signing/password-needed': { http: 403, zh: '请再次输入密码以签名', en: 'Enter your password again to sign' },
  'signing/wrong-password': { http: 403, zh: '签名密码错误', en: 'The signing password is wrong' },
  'signing/no-certificate': { http: 409, zh: '尚未取得医生签名证书，请在连通区域平台时重试', en: 'There is no signing certificate yet, try again when the region can be reached' },
  'signing/document-invalid': { http: 400, zh: '签名文件无效', en: 'The signed document is not valid' },
  'time-stamp/invalid': { http: 400, zh: '时间戳无效', en: 'The time stamp is not valid' },
  'consult/opinion-invalid': { http: 400, zh: '会诊意见签名无效', en: 'The signature of the opinion is not valid' },

  // transfer
  'transfer/unknown-study': { http: 404, zh: '对方没有该检查影像', en: 'The owner does not hold this study' },
  'transfer/unknown-session': { http: 410, zh: '传输会话已失效', en: 'The transfer session is over' },
  'transfer/bad-request': { http: 403, zh: '传输请求校验失败', en: 'The transfer request is not authentic' },
  'transfer/digest-mismatch': { http: 502, zh: '影像校验失败，已丢弃并重传', en: 'The received instance differs from the manifest' },
  'transfer/cancelled': { http: 409, zh: '传输已取消', en: 'The transfer was cancelled' },

  // archive and DICOM
  'archive/out-of-space': { http: 507, dimse: 0xa700, zh: '存储空间不足', en: 'Out of storage space' },
  'archive/unavailable': { http: 503, dimse: 0xa700, zh: '该影像库暂不可用（数据库或存储无法打开），恢复后自动可用', en: 'This archive cannot be opened now; it comes back by itself' },
  'archive/unreadable': { http: 400, dimse: 0xc000, zh: '无法解析的 DICOM 数据', en: 'The dataset cannot be understood' },
  'archive/uid-mismatch': { http: 409, dimse: 0xa900, zh: 'DICOM 数据与命令中的 UID 不一致', en: 'The dataset does not match the SOP class or instance of the command' },
  'archive/bad-uid': { http: 400, dimse: 0xc000, zh: 'UID 不合法', en: 'Not a valid UID' },
  'archive/sop-class-not-supported': { http: 409, dimse: 0x0122, zh: '不支持的 SOP 类', en: 'SOP class not supported' },
  'archive/unknown-study': { http: 404, zh: '没有该检查', en: 'No such study' },
  'archive/unknown-instance': { http: 404, dimse: 0x0112, zh: '没有该影像', en: 'No such instance' },
  'archive/changed-content': { http: 409, dimse: 0x0111, zh: '已有同一实例的不同内容，按规则不予替换', en: 'Other content of this instance is held, and the rules do not let it be replaced' },
  'archive/identity-conflict': { http: 409, dimse: 0xa900, zh: '该影像 UID 已属于另一检查或另一医院', en: 'The UID already belongs to another study or another hospital' },
  'archive/query-too-broad': { http: 413, dimse: 0xa700, zh: '查询范围过大，请加上姓名、患者号、检查号或检查日期', en: 'The search would look at too much: add a name, patient ID, accession number or study date' },
  'archive/not-renderable': { http: 406, zh: '该影像无法渲染', en: 'The instance cannot be rendered' },
  'archive/not-transcodable': { http: 406, zh: '该影像无法转换为所请求的传输语法', en: 'The instance cannot be given in that transfer syntax' },
  'archive/failed': { http: 500, dimse: 0x0110, zh: '存储失败', en: 'Processing failure' },
  'archive/wrong-key': { http: 500, zh: '加密影像的密钥缺失或不是原来的密钥', en: 'The key of encrypted images is missing or another one' },
  'archive/damaged-file': { http: 500, zh: '影像文件已损坏或被改动', en: 'The file of an image is damaged or was changed' },
  'archive/converting': { http: 409, zh: '另一个加密或解密任务正在进行', en: 'Another conversion of stored images is under way' },
  'archive/recall-failed': { http: 503, dimse: 0xa700, zh: '该影像在近线或对象存储中，暂时无法调回', en: 'The images lie in another store that cannot be read now' },
  'archive/quota': { http: 507, dimse: 0xa700, zh: '已达到存储配额', en: 'The storage quota is used up' },
  'archive/not-recycled': { http: 404, zh: '回收站中没有该检查', en: 'No such study among the deleted ones' },
  'store/unreachable': { http: 502, zh: '存储暂时无法访问', en: 'The store cannot be reached now' },
  'store/refused': { http: 502, zh: '存储拒绝了请求（请核对凭据、桶名与权限）', en: 'The store refuses the request (check credentials, bucket and permissions)' },
  'store/full': { http: 507, zh: '该存储空间已满', en: 'The store is full' },
  'store/no-object': { http: 404, zh: '存储中没有该文件', en: 'The store does not hold this file' },
  'storage/path-rule': { http: 400, zh: '存储路径规则无效', en: 'Not a valid path rule' },
  'store/unknown': { http: 404, zh: '没有该存储', en: 'No such store' },
  'store/in-use': { http: 409, zh: '该存储仍保存着影像或被规则使用，不能删除', en: 'The store still holds images, or a rule names it' },
  'dimse/unknown-ae': { http: 403, dimse: 0x0124, zh: '未登记的 AE Title', en: 'The AE title is not registered' },
  'dimse/protocol': { http: 400, zh: 'DICOM 通信协议错误', en: 'DICOM protocol violation' },
  'dimse/timeout': { http: 504, zh: 'DICOM 通信超时', en: 'DICOM peer timed out' },
  'dimse/unreachable': { http: 502, zh: '无法连接 DICOM 节点', en: 'The DICOM peer cannot be reached' },
  'dimse/aborted': { http: 502, zh: 'DICOM 节点中止了关联', en: 'The DICOM peer aborted the association' },
  'dimse/lost': { http: 502, zh: '与 DICOM 节点的连接中断', en: 'The connection to the DICOM peer was lost' },
  'dimse/not-accepted': { http: 502, zh: 'DICOM 节点不接受该影像的类型或传输语法', en: 'The DICOM peer does not accept the class or transfer syntax' },
  'dimse/failed-at-peer': { http: 502, zh: 'DICOM 节点返回失败状态', en: 'The DICOM peer answered with a failure status' },
  'dimse/cancelled': { http: 409, zh: '发送已取消', en: 'Sending was cancelled' },
  'dimse/unknown-node': { http: 404, zh: '没有该 DICOM 节点', en: 'No such DICOM node' },
  'dimse/node-exists': { http: 409, zh: '相同 AE Title 和地址的节点已登记', en: 'A node with this AE title and address is registered already' },
  'dimse/other-region': { http: 409, zh: '同一 AE Title 的另一节点已登记为其他区域', en: 'Another node of this AE title is registered for another region' },
  'dimse/unknown-destination': { http: 404, dimse: 0xa801, zh: '提取的目的 AE Title 未登记', en: 'The move destination is not a registered node' },
  'dimse/invalid-argument': { http: 400, dimse: 0x0115, zh: 'DICOM 请求的参数不合法', en: 'The DICOM request has an invalid argument' },
  'dimse/unknown-transaction': { http: 404, dimse: 0x0112, zh: '没有该存储承诺事务', en: 'No such storage commitment' },
  'dimse/not-committed': { http: 502, zh: '对方没有承诺保存全部影像', en: 'The node did not commit itself to all images' },
  'dimse/unknown-forward': { http: 404, zh: '没有该转发任务', en: 'No such forwarding job' },
  'dimse/no-peer-keys': { http: 409, zh: '该 DICOM 节点须以 TLS 连接，但密钥目录中没有其 CA 证书', en: 'The DICOM peer is to be called by TLS, but the key folder has no CA for it' },
  'dimse/unknown-receiving-node': { http: 404, zh: '没有该接收节点', en: 'No such receiving node' },
  'dimse/receiving-node-exists': { http: 409, zh: '该 AE Title 或端口已用于本机或另一接收节点', en: 'This AE title or port is used by the node itself or by another receiving node' },
  'worklist/unknown': { http: 404, dimse: 0x0112, zh: '没有该工作列表条目', en: 'No such worklist item' },
  'worklist/closed': { http: 409, zh: '该条目已完成或已取消，不能再修改', en: 'The item is completed or cancelled and is not changed any more' },
  'worklist/exists': { http: 409, zh: '该检查已有未完成的工作列表条目', en: 'The exam has an open worklist item already' },
  'worklist/unknown-step': { http: 404, dimse: 0x0112, zh: '没有该检查执行步骤（MPPS）', en: 'No such performed procedure step' },
  'worklist/step-exists': { http: 409, dimse: 0x0111, zh: '该检查执行步骤（MPPS）已存在', en: 'The performed procedure step exists already' },
  'worklist/step-final': { http: 409, dimse: 0x0110, zh: '检查执行步骤已结束，不能再更新', en: 'Performed Procedure Step Object may no longer be updated' },
  'worklist/missing-attribute': { http: 400, dimse: 0x0120, zh: '缺少必需的属性', en: 'A required attribute is missing' },
  'worklist/invalid-value': { http: 400, dimse: 0x0106, zh: '属性值不允许', en: 'The value of an attribute is not allowed' },
  'routing/unknown-rule': { http: 404, zh: '没有该路由规则', en: 'No such routing rule' },
  'acquisition/unknown-job': { http: 404, zh: '没有该主动获取任务', en: 'No such acquisition job' },
  'acquisition/unknown-run': { http: 404, zh: '没有该获取记录', en: 'No such run' },
  'acquisition/running': { http: 409, zh: '该任务正在运行', en: 'The job is running already' },
  'acquisition/bad-schedule': { http: 400, zh: '定时表达式无效', en: 'The schedule cannot be read' },
  'acquisition/incomplete': { http: 502, zh: '来源节点没有送齐影像', en: 'The source did not send everything' },
  'import/unknown': { http: 404, zh: '没有该导入', en: 'No such import' },
  'import/ended': { http: 409, zh: '该导入已结束，请重新导入', en: 'The import is over, begin a new one' },
  'import/not-dicom': { http: 415, zh: '不是 DICOM 文件，已跳过', en: 'Not a DICOM file, passed over' },
  'import/bad-archive': { http: 400, zh: 'ZIP 文件已损坏、已加密或不受支持', en: 'The ZIP file is damaged, encrypted or not supported' },
  'import/archive-bomb': { http: 413, zh: 'ZIP 解压后过大，已拒绝', en: 'The ZIP file would become too large' },
  'import/busy': { http: 429, zh: '同时进行的导入过多，请稍后再试', en: 'Too many imports at once, try again later' },
  'dimse/rejected': { http: 502, zh: 'DICOM 节点拒绝关联', en: 'The DICOM peer rejected the association' },
  // keeping and destroying
  'retention/not-yet': { http: 409, zh: '尚在保存期限内，不能删除', en: 'It must still be kept' },
  'retention/legal-hold': { http: 409, zh: '该检查已封存，不能删除', en: 'It is under legal hold' },
  'retention/in-use': { http: 409, zh: '该检查有进行中的会诊，不能删除', en: 'A consultation on it is under way' },
  // backups
  'backup/wrong-passphrase': { http: 403, zh: '备份口令缺失或错误（至少 12 位）', en: 'The passphrase of the backups is missing or wrong' },
  'backup/unknown': { http: 404, zh: '没有这个备份', en: 'No such backup' },
  'backup/damaged': { http: 500, zh: '备份已损坏', en: 'The backup is damaged' },
  'backup/not-empty': { http: 409, zh: '恢复的目标文件夹不是空的', en: 'The folder to restore to is not empty' },
  // data at rest
  'vault/unreadable': { http: 500, zh: '加密数据无法解密', en: 'Sealed data cannot be opened' },
  'vault/kek-elsewhere': { http: 409, zh: '主密钥由外部保管，请在该处更换', en: 'The key is kept outside, change it there' },
  'vault/busy': { http: 409, zh: '重新加密正在进行', en: 'Re-sealing is under way' },
  'exam/exists': { http: 409, zh: '检查号已登记', en: 'The accession number is registered already' },
  'matching/busy': { http: 409, zh: '该检查影像正在更正中，请稍候', en: 'Images of this study are being corrected, wait a moment' },
  'matching/nothing-to-correct': { http: 409, zh: '影像已属于该检查，无需更正', en: 'The images belong there already, nothing is to be corrected' },
  'matching/not-undoable': { http: 409, zh: '只能撤销该检查最近一次已完成的更正', en: 'Only the latest finished correction of a study can be undone' },
  'exam/unknown': { http: 404, zh: '没有该检查', en: 'No such exam' },
} as const satisfies Record<string, Answer>

export type ProblemCode = keyof typeof answers

export function isProblemCode(text: string): text is ProblemCode {
  return Object.hasOwn(answers, text)
}

/** Facts travel with the problem: plain JSON, never a patient's name. */
export type ProblemFacts = Readonly<Record<string, unknown>>

/** A refusal that ends the request. A bug is an ordinary Error instead. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly facts: ProblemFacts

  constructor(code: ProblemCode, facts: ProblemFacts = {}, options?: { cause?: unknown }) {
    super(code, options)
    this.code = code
    this.facts = facts
  }

  get answer(): Answer {
    return answers[this.code]
  }
}

export function isProblem(error: unknown): error is Problem {
  return error instanceof Problem
}

/** RFC 9457 problem details. `type` is a stable URN of the code; `title` is Chinese first, `titleEn` beside it. */
export interface ProblemDetails {
  readonly type: `urn:lianpian:problem:${string}`
  readonly code: string
  readonly title: string
  readonly titleEn: string
  readonly status: number
  readonly detail?: string
  readonly facts?: ProblemFacts
}

export function problemDetails(problem: Problem): ProblemDetails {
  const { http, zh, en } = problem.answer
  return { type: `urn:lianpian:problem:${problem.code}`, code: problem.code, title: zh, titleEn: en, status: http, facts: problem.facts }
}

/** What crosses the wire inside our own messages. */
export interface ProblemNote {
  readonly code: string
  readonly facts: ProblemFacts
}

export function noteOf(error: unknown): ProblemNote {
  return isProblem(error) ? { code: error.code, facts: error.facts } : { code: 'service/internal', facts: {} }
}

export function problemFromNote(note: ProblemNote): Problem {
  return isProblemCode(note.code) ? new Problem(note.code, note.facts) : new Problem('service/internal', { code: note.code })
}
