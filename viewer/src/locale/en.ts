import type zh from './zh-CN.ts'

export default {
  app: { name: 'Lianpian Viewer', loading: 'Opening…', language: '中文', signOut: 'Sign out', back: 'Back', noStudy: 'No study was named', noStudyHint: 'Open images from the exam or consultation list of the workstation.', unsupported: 'The image display could not be started' },
  session: { title: 'Sign in to read', username: 'User name', password: 'Password', signIn: 'Sign in', bothNeeded: 'Enter user name and password' },
  patient: { sex: { M: 'M', F: 'F', O: 'O' }, age: { Y: 'y', M: 'm', W: 'w', D: 'd' }, unknown: 'Name unknown', hidden: 'Patient data hidden' },
  series: {
    title: 'Series', images: '{count} images', frames: '{count} frames', loading: 'Reading series…', none: 'This study has no images to show', failed: 'The series could not be read', documents: 'Documents', arriving: 'Receiving images {done}/{total}',
    keyNote: 'Key image note', open: 'Open series', key: 'Key images',
  },
  viewport: { loading: 'Loading', empty: 'Drag a series here', retry: 'Try again', progress: '{loaded}/{total} loaded', keyImage: 'Key image', starting: 'Starting the image display…', pictureFailed: 'Image {index} cannot be shown' },
  tool: {
    scroll: 'Scroll', window: 'Window', zoom: 'Zoom', pan: 'Pan', length: 'Length', invert: 'Invert', rotate: 'Rotate', flipH: 'Mirror', flipV: 'Flip', fit: 'Fit', actual: '1:1', reset: 'Reset', cine: 'Play', pause: 'Pause',
    layout: 'Layout', mark: 'Key image', unmark: 'Unmark', keyOnly: 'Key only', clear: 'Clear', texts: 'Texts', more: 'More', rate: '{rate} fps', panel: 'Opinion', series: 'Series',
  },
  preset: { lung: 'Lung', mediastinum: 'Mediast.', bone: 'Bone', brain: 'Brain', abdomen: 'Abdomen', liver: 'Liver', vessel: 'Vessel', spine: 'Spine', image: 'Default', contrast: 'Contrast', soft: 'Soft', full: 'Full', header: 'Preset {n}' },
  window: { width: 'Width', center: 'Level', 'not-a-number': 'Enter a number', 'width-out-of-range': 'Width must be 1 to 65536', 'center-out-of-range': 'Level is out of range' },
  measure: { detector: 'at detector', estimated: 'estimated' },
  consult: {
    title: 'Consultation', from: 'Requested by', question: 'Question', history: 'Clinical history', historyNone: 'Not given', live: 'live', copy: 'copy of the request', report: 'Original report', reportFindings: 'Findings', reportImpression: 'Impression', urgent: 'Urgent', routine: 'Routine',
    state: { queued: 'Queued', refused: 'Refused', submitted: 'Open', accepted: 'Taken', started: 'Reading', signed: 'Signed', returned: 'Returned', read: 'Read', cancelled: 'Cancelled', declined: 'Declined' },
    event: { submitted: 'Submitted', claimed: 'Taken', released: 'Released', declined: 'Declined', started: 'Reading began', signed: 'Opinion signed', returned: 'Opinion arrived', read: 'Opinion read', cancelled: 'Cancelled', 'images-arrived': 'Images arrived' },
    claim: 'Take the case', release: 'Release', decline: 'Decline', sign: 'Sign', pending: 'Waiting for the hub…', heldBy: 'Taken by {name}, {hospital}, at {time}', writeAfterClaim: 'Take the case to write an opinion and mark key images.',
    findings: 'Findings', opinion: 'Opinion', advice: 'Advice', findingsHint: 'Site, size, density or signal, margin, enhancement…', opinionHint: 'Conclusion (required)', adviceHint: 'Follow-up, further imaging or treatment',
    saved: 'Saved {time}', unsaved: 'No changes', waiting: 'Editing…', saving: 'Saving…', saveFailed: 'Not saved, will be tried again', loadDraftFailed: 'The draft could not be read',
    keyImages: 'Key images', keyImagesNone: 'Press K or “Key image” to mark the current image.', keyImagesNoneSigned: 'No key images were marked', note: 'Note', addNote: 'Add a note', removeKey: 'Remove mark', markOnlyHolder: 'Take the case to mark key images', markNoTask: 'Key images can be marked in a consultation',
    timeline: 'Time line', confirmSign: 'The opinion will be sent to {hospital} and cannot be changed afterwards.', confirmSignTitle: 'Sign the opinion', opinionNeeded: 'Write the opinion first', withKeyImages: 'with {count} key images', confirm: 'Sign', cancel: 'Cancel',
    reason: 'Reason', reasonNeeded: 'Give a reason', releaseTitle: 'Release the case', releaseHint: 'Other experts can take it then. The draft is kept.', declineTitle: 'Decline the case', declineHint: 'The requesting hospital will see the reason.',
    signedBy: 'Signed by {name}', signatureValid: 'Signature valid', signatureInvalid: 'Signature not valid', signatureUnknown: 'Signature not checked yet', waitingOpinion: 'Waiting for the opinion', emptyText: '(none)', failed: 'The consultation could not be read', agent: 'System', cancelledBy: 'The consultation was cancelled', declinedBy: 'The consultation was declined', signedTitle: 'The opinion is signed',
  },
} satisfies typeof zh
