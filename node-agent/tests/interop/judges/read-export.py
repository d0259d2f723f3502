"""Reads the DICOM files below two folders with pydicom: what was stored, and what was exported.

Standard input: JSON [folder of the originals, folder of the export]. Standard output: JSON with
`pairs` [[original, exported]] found by the bytes of their pixel data, `files` {exported: {keyword: text}},
`identifying` every value of the originals that names somebody or something, `dates` [[study date stored, exported]].
"""
import hashlib
import json
import os
import sys
import warnings

import pydicom

warnings.simplefilter("ignore")
originals, exported = json.load(sys.stdin)


def files(folder):
    return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".dcm")]


def pixels(dataset):
    return hashlib.sha256(dataset.file_meta.TransferSyntaxUID.encode() + dataset.PixelData.rstrip(b"\0")).hexdigest()


identifying = set()


def collect(dataset):
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                collect(item)
        elif element.VR == "UI":
            for value in str(element.value).replace("[", "").replace("]", "").replace("'", "").split(", "):
                if value and not value.startswith("1.2.840.10008."):
                    identifying.add(value)
        elif element.VR == "PN" or element.keyword in ("PatientID", "AccessionNumber", "PatientBirthDate", "OtherPatientIDs", "InstitutionName"):
            for value in str(element.value).replace("=", "^").split("^"):
                if len(value.strip()) >= 3:
                    identifying.add(value.strip())


stored, studied = {}, {}
for path in files(originals):
    dataset = pydicom.dcmread(path, force=True)
    collect(dataset)
    stored[pixels(dataset)] = path
    studied[pixels(dataset)] = str(dataset.get("StudyDate", ""))
pairs, told, dates = [], {}, []
for path in files(exported):
    dataset = pydicom.dcmread(path)  # strictly: with preamble and meta header
    pairs.append([stored.get(pixels(dataset)), path])
    dates.append([studied.get(pixels(dataset), ""), str(dataset.get("StudyDate", ""))])
    told[path] = {keyword: str(dataset.get(keyword, "")) for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientAge", "PatientSex", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate", "PatientIdentityRemoved", "LongitudinalTemporalInformationModified", "BodyPartExamined", "Modality")}
    told[path]["meta"] = str(dataset.file_meta.MediaStorageSOPInstanceUID)
    told[path]["private"] = sum(1 for element in dataset if element.tag.is_private)
    told[path]["methods"] = [item.CodeValue for item in dataset.get("DeidentificationMethodCodeSequence", [])]
json.dump({"pairs": pairs, "files": told, "identifying": sorted(identifying), "dates": dates}, sys.stdout)
