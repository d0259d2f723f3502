/**
 * The SOP classes of the SCP, from which CONFORMANCE.md is written. Storage classes: PS3.4 B.5 and PS3.6 A, composite
 * objects of a patient; what has no patient (hanging protocols, implants, procedure protocols, DICOS, DICONDE) is left out.
 */
export interface StorageSopClass {
  readonly uid: string
  readonly name: string
  /** Retired by the standard, yet sent by old devices; accepted. */
  readonly retired?: true
}

export const VERIFICATION = '1.2.840.10008.1.1'
export const PATIENT_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.1.1'
export const STUDY_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.2.1'

export const PATIENT_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.1.2'
export const PATIENT_ROOT_GET = '1.2.840.10008.5.1.4.1.2.1.3'
export const STUDY_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.2.2'
export const STUDY_ROOT_GET = '1.2.840.10008.5.1.4.1.2.2.3'
export const STORAGE_COMMITMENT = '1.2.840.10008.1.20.1'
export const MODALITY_WORKLIST_FIND = '1.2.840.10008.5.1.4.31'
export const MODALITY_PERFORMED_PROCEDURE_STEP = '1.2.840.10008.3.1.2.3.3'

/** Classes with a service of their own, and of what kind each is. Their data sets and answers are small, so the uncompressed syntaxes are enough. */
export const serviceSopClasses = [
  { uid: VERIFICATION, name: 'Verification', service: 'C-ECHO', kind: 'verification' },
  { uid: PATIENT_ROOT_FIND, name: 'Patient Root Query/Retrieve Information Model - FIND', service: 'C-FIND', kind: 'query' },
  { uid: STUDY_ROOT_FIND, name: 'Study Root Query/Retrieve Information Model - FIND', service: 'C-FIND', kind: 'query' },
  { uid: PATIENT_ROOT_MOVE, name: 'Patient Root Query/Retrieve Information Model - MOVE', service: 'C-MOVE', kind: 'move' },
  { uid: STUDY_ROOT_MOVE, name: 'Study Root Query/Retrieve Information Model - MOVE', service: 'C-MOVE', kind: 'move' },
  { uid: PATIENT_ROOT_GET, name: 'Patient Root Query/Retrieve Information Model - GET', service: 'C-GET', kind: 'get' },
  { uid: STUDY_ROOT_GET, name: 'Study Root Query/Retrieve Information Model - GET', service: 'C-GET', kind: 'get' },
  { uid: STORAGE_COMMITMENT, name: 'Storage Commitment Push Model', service: 'N-ACTION, N-EVENT-REPORT', kind: 'commitment' },
  { uid: MODALITY_WORKLIST_FIND, name: 'Modality Worklist Information Model - FIND', service: 'C-FIND (worklist)', kind: 'worklist' },
  { uid: MODALITY_PERFORMED_PROCEDURE_STEP, name: 'Modality Performed Procedure Step', service: 'N-CREATE, N-SET', kind: 'procedure-step' },
] as const

export const storageSopClasses: readonly StorageSopClass[] = [
  { uid: '1.2.840.10008.5.1.4.1.1.1', name: 'Computed Radiography Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.1', name: 'Digital X-Ray Image Storage - For Presentation' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.1.1', name: 'Digital X-Ray Image Storage - For Processing' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.2', name: 'Digital Mammography X-Ray Image Storage - For Presentation' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.2.1', name: 'Digital Mammography X-Ray Image Storage - For Processing' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.3', name: 'Digital Intra-Oral X-Ray Image Storage - For Presentation' },
  { uid: '1.2.840.10008.5.1.4.1.1.1.3.1', name: 'Digital Intra-Oral X-Ray Image Storage - For Processing' },
  { uid: '1.2.840.10008.5.1.4.1.1.2', name: 'CT Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.2.1', name: 'Enhanced CT Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.2.2', name: 'Legacy Converted Enhanced CT Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.3', name: 'Ultrasound Multi-frame Image Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.3.1', name: 'Ultrasound Multi-frame Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.4', name: 'MR Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.4.1', name: 'Enhanced MR Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.4.2', name: 'MR Spectroscopy Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.4.3', name: 'Enhanced MR Color Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.4.4', name: 'Legacy Converted Enhanced MR Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.5', name: 'Nuclear Medicine Image Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.6', name: 'Ultrasound Image Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.6.1', name: 'Ultrasound Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.6.2', name: 'Enhanced US Volume Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.6.3', name: 'Photoacoustic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.7', name: 'Secondary Capture Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.7.1', name: 'Multi-frame Single Bit Secondary Capture Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.7.2', name: 'Multi-frame Grayscale Byte Secondary Capture Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.7.3', name: 'Multi-frame Grayscale Word Secondary Capture Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.7.4', name: 'Multi-frame True Color Secondary Capture Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.8', name: 'Standalone Overlay Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.9', name: 'Standalone Curve Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.9.1', name: 'Waveform Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.9.1.1', name: '12-lead ECG Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.1.2', name: 'General ECG Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.1.3', name: 'Ambulatory ECG Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.2.1', name: 'Hemodynamic Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.3.1', name: 'Cardiac Electrophysiology Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.4.1', name: 'Basic Voice Audio Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.4.2', name: 'General Audio Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.5.1', name: 'Arterial Pulse Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.6.1', name: 'Respiratory Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.6.2', name: 'Multi-channel Respiratory Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.7.1', name: 'Routine Scalp Electroencephalogram Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.7.2', name: 'Electromyogram Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.7.3', name: 'Electrooculogram Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.7.4', name: 'Sleep Electroencephalogram Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.9.8.1', name: 'Body Position Waveform Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.10', name: 'Standalone Modality LUT Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.11', name: 'Standalone VOI LUT Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.11.1', name: 'Grayscale Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.2', name: 'Color Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.3', name: 'Pseudo-Color Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.4', name: 'Blending Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.5', name: 'XA/XRF Grayscale Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.6', name: 'Grayscale Planar MPR Volumetric Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.7', name: 'Compositing Planar MPR Volumetric Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.8', name: 'Advanced Blending Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.9', name: 'Volume Rendering Volumetric Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.10', name: 'Segmented Volume Rendering Volumetric Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.11', name: 'Multiple Volume Rendering Volumetric Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.11.12', name: 'Variable Modality LUT Softcopy Presentation State Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.12.1', name: 'X-Ray Angiographic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.12.1.1', name: 'Enhanced XA Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.12.2', name: 'X-Ray Radiofluoroscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.12.2.1', name: 'Enhanced XRF Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.12.3', name: 'X-Ray Angiographic Bi-Plane Image Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.13.1.1', name: 'X-Ray 3D Angiographic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.13.1.2', name: 'X-Ray 3D Craniofacial Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.13.1.3', name: 'Breast Tomosynthesis Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.13.1.4', name: 'Breast Projection X-Ray Image Storage - For Presentation' },
  { uid: '1.2.840.10008.5.1.4.1.1.13.1.5', name: 'Breast Projection X-Ray Image Storage - For Processing' },
  { uid: '1.2.840.10008.5.1.4.1.1.14.1', name: 'Intravascular Optical Coherence Tomography Image Storage - For Presentation' },
  { uid: '1.2.840.10008.5.1.4.1.1.14.2', name: 'Intravascular Optical Coherence Tomography Image Storage - For Processing' },
  { uid: '1.2.840.10008.5.1.4.1.1.20', name: 'Nuclear Medicine Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.30', name: 'Parametric Map Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66', name: 'Raw Data Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.1', name: 'Spatial Registration Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.2', name: 'Spatial Fiducials Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.3', name: 'Deformable Spatial Registration Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.4', name: 'Segmentation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.5', name: 'Surface Segmentation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.6', name: 'Tractography Results Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.7', name: 'Label Map Segmentation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.66.8', name: 'Height Map Segmentation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.67', name: 'Real World Value Mapping Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.68.1', name: 'Surface Scan Mesh Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.68.2', name: 'Surface Scan Point Cloud Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1', name: 'VL Image Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.1', name: 'VL Endoscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.1.1', name: 'Video Endoscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.2', name: 'VL Microscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.2.1', name: 'Video Microscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.3', name: 'VL Slide-Coordinates Microscopic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.4', name: 'VL Photographic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.4.1', name: 'Video Photographic Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.1', name: 'Ophthalmic Photography 8 Bit Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.2', name: 'Ophthalmic Photography 16 Bit Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.3', name: 'Stereometric Relationship Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.4', name: 'Ophthalmic Tomography Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.5', name: 'Wide Field Ophthalmic Photography Stereographic Projection Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.6', name: 'Wide Field Ophthalmic Photography 3D Coordinates Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.7', name: 'Ophthalmic Optical Coherence Tomography En Face Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.5.8', name: 'Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.6', name: 'VL Whole Slide Microscopy Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.7', name: 'Dermoscopic Photography Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.8', name: 'Confocal Microscopy Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.1.9', name: 'Confocal Microscopy Tiled Pyramidal Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.77.2', name: 'VL Multi-frame Image Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.78.1', name: 'Lensometry Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.2', name: 'Autorefraction Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.3', name: 'Keratometry Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.4', name: 'Subjective Refraction Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.5', name: 'Visual Acuity Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.6', name: 'Spectacle Prescription Report Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.7', name: 'Ophthalmic Axial Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.78.8', name: 'Intraocular Lens Calculations Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.79.1', name: 'Macular Grid Thickness and Volume Report Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.80.1', name: 'Ophthalmic Visual Field Static Perimetry Measurements Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.81.1', name: 'Ophthalmic Thickness Map Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.82.1', name: 'Corneal Topography Map Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.1', name: 'Text SR Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.88.2', name: 'Audio SR Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.88.3', name: 'Detail SR Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.88.4', name: 'Comprehensive SR Storage - Trial', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.88.11', name: 'Basic Text SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.22', name: 'Enhanced SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.33', name: 'Comprehensive SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.34', name: 'Comprehensive 3D SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.35', name: 'Extensible SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.40', name: 'Procedure Log Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.50', name: 'Mammography CAD SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.59', name: 'Key Object Selection Document Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.65', name: 'Chest CAD SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.67', name: 'X-Ray Radiation Dose SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.68', name: 'Radiopharmaceutical Radiation Dose SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.69', name: 'Colon CAD SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.70', name: 'Implantation Plan SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.71', name: 'Acquisition Context SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.72', name: 'Simplified Adult Echo SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.73', name: 'Patient Radiation Dose SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.74', name: 'Planned Imaging Agent Administration SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.75', name: 'Performed Imaging Agent Administration SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.76', name: 'Enhanced X-Ray Radiation Dose SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.88.77', name: 'Waveform Annotation SR Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.90.1', name: 'Content Assessment Results Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.91.1', name: 'Microscopy Bulk Simple Annotations Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.104.1', name: 'Encapsulated PDF Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.104.2', name: 'Encapsulated CDA Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.104.3', name: 'Encapsulated STL Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.104.4', name: 'Encapsulated OBJ Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.104.5', name: 'Encapsulated MTL Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.128', name: 'Positron Emission Tomography Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.128.1', name: 'Legacy Converted Enhanced PET Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.129', name: 'Standalone PET Curve Storage', retired: true },
  { uid: '1.2.840.10008.5.1.4.1.1.130', name: 'Enhanced PET Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.131', name: 'Basic Structured Display Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.1', name: 'RT Image Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.2', name: 'RT Dose Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.3', name: 'RT Structure Set Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.4', name: 'RT Beams Treatment Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.5', name: 'RT Plan Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.6', name: 'RT Brachy Treatment Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.7', name: 'RT Treatment Summary Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.8', name: 'RT Ion Plan Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.9', name: 'RT Ion Beams Treatment Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.10', name: 'RT Physician Intent Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.11', name: 'RT Segment Annotation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.12', name: 'RT Radiation Set Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.13', name: 'C-Arm Photon-Electron Radiation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.14', name: 'Tomotherapeutic Radiation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.15', name: 'Robotic-Arm Radiation Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.16', name: 'RT Radiation Record Set Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.17', name: 'RT Radiation Salvage Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.18', name: 'Tomotherapeutic Radiation Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.19', name: 'C-Arm Photon-Electron Radiation Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.20', name: 'Robotic Radiation Record Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.21', name: 'RT Radiation Set Delivery Instruction Storage' },
  { uid: '1.2.840.10008.5.1.4.1.1.481.22', name: 'RT Treatment Preparation Storage' },
]

/** Of what kind a proposed abstract syntax is for us; undefined when we have nothing to offer for it. */
export type SopClassKind = (typeof serviceSopClasses)[number]['kind'] | 'storage' | 'private'

export interface StoragePolicy {
  /**
   * Vendors store raw data under classes of their own. Kept unread, they are lost only if refused; a class below the
   * storage root of a newer edition of the standard is treated alike.
   */
  readonly privateSopClasses: 'accept' | 'refuse'
  /** Classes of any kind that the hospital does not want, by UID. */
  readonly refusedSopClasses?: readonly string[]
  /** Services that somebody gives beyond those that every port has. */
  readonly moreServices?: ReadonlySet<SopClassKind>
}

const everyPort: ReadonlySet<SopClassKind> = new Set(['verification', 'query'])
const serviceKinds = new Map<string, SopClassKind>(serviceSopClasses.map(({ uid, kind }) => [uid, kind]))

const DICOM_ROOT = '1.2.840.10008.'
const STORAGE_ROOT = '1.2.840.10008.5.1.4.1.1.'
const storageUids = new Set(storageSopClasses.map((sopClass) => sopClass.uid))

export function sopClassKind(abstractSyntaxUid: string, policy: StoragePolicy): SopClassKind | undefined {
  if (policy.refusedSopClasses?.includes(abstractSyntaxUid)) return undefined
  const service = serviceKinds.get(abstractSyntaxUid)
  if (service !== undefined) return everyPort.has(service) || policy.moreServices?.has(service) ? service : undefined
  if (storageUids.has(abstractSyntaxUid)) return 'storage'
  if (policy.privateSopClasses === 'refuse') return undefined
  const mayBeStorage = !abstractSyntaxUid.startsWith(DICOM_ROOT) || abstractSyntaxUid.startsWith(STORAGE_ROOT)
  return mayBeStorage ? 'private' : undefined
}

export function sopClassName(uid: string): string | undefined {
  return (
    storageSopClasses.find((sopClass) => sopClass.uid === uid)?.name ?? serviceSopClasses.find((sopClass) => sopClass.uid === uid)?.name
  )
}
