"""Reads [file, ...] on stdin; answers, as pydicom of the distribution reads them, what says how the pixels are, and MD5 of them."""
import hashlib
import json
import sys

import pydicom


def digest(path):
    dataset = pydicom.dcmread(path)
    samples = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * int(dataset.get("NumberOfFrames", 1) or 1)
    length = (samples + 7) // 8 if dataset.BitsAllocated == 1 else samples * dataset.BitsAllocated // 8
    lossy = dataset.get("LossyImageCompressionRatio") or []
    return {
        "transferSyntaxUid": str(dataset.file_meta.TransferSyntaxUID),
        "sopInstanceUid": str(dataset.SOPInstanceUID),
        "photometricInterpretation": str(dataset.PhotometricInterpretation),
        "planarConfiguration": int(dataset.get("PlanarConfiguration", 0) or 0),
        "lossy": str(dataset.get("LossyImageCompression", "")),
        "ratios": [float(value) for value in (lossy if hasattr(lossy, "__iter__") else [lossy])],
        "methods": str(dataset.get("LossyImageCompressionMethod", "")),
        "imageType": "\\".join(dataset.get("ImageType", [])),
        "derivations": [str(item.CodeValue) for item in dataset.get("DerivationCodeSequence", [])],
        "md5": hashlib.md5(dataset.PixelData[:length]).hexdigest(),
    }


print(json.dumps([digest(path) for path in json.load(sys.stdin)]))
