"""Compares DICOM JSON of ours with what pydicom reads from the same file.

Standard input: JSON list of [path of the DICOM file, DICOM JSON object]. Standard output: JSON list of [path, tag, pydicom's, ours].
"""
import json
import sys
import warnings

import pydicom

warnings.simplefilter("ignore")


def same_number(a, b):
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return x == y or abs(x - y) <= 1e-6 * max(abs(x), abs(y))


def text(value):
    return "".join(ch for ch in str(value) if ch >= " " or ch in "\t\n\r\f").strip()


def same_value(a, b):
    if a in (None, "") and b in (None, ""):
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        if set(a) & {"Alphabetic", "Ideographic", "Phonetic"} or not a:
            return all(text(a.get(k, "")) == text(b.get(k, "")) for k in ("Alphabetic", "Ideographic", "Phonetic"))
        return not list(differences(a, b))
    return same_number(a, b) or text(a) == text(b)


def differences(theirs, ours, at=""):
    for tag, element in theirs.items():
        # JSON is always UTF-8 and says so (PS3.18 F.2), pydicom keeps the name of the file's character set.
        if tag.endswith("0000") or tag in ("FFFCFFFC", "00080005"):
            continue
        mine = ours.get(tag)
        if mine is None:
            yield at + tag, element, None
            continue
        if "BulkDataURI" in mine:
            continue
        # Implicit VR leaves the choice of unknown and of US or SS to the reader.
        if element["vr"] != mine["vr"] and "UN" not in (element["vr"], mine["vr"]) and {element["vr"], mine["vr"]} not in ({"OB", "OW"}, {"US", "SS"}):
            yield at + tag, element["vr"], mine["vr"]
            continue
        if "UN" in (element["vr"], mine["vr"]) and element["vr"] != mine["vr"]:
            continue
        if "InlineBinary" in element or "InlineBinary" in mine:
            if element.get("InlineBinary", "") != mine.get("InlineBinary", "") and tag != "7FE00010":
                yield at + tag, element, mine
            continue
        a, b = element.get("Value", []), mine.get("Value", [])
        if mine["vr"] == "SQ":
            if len(a) != len(b):
                yield at + tag, len(a), len(b)
                continue
            for index, (x, y) in enumerate(zip(a, b)):
                yield from differences(x, y, f"{at}{tag}[{index}].")
        elif not (all(v in (None, "") for v in a) and all(v in (None, "") for v in b)) and (len(a) != len(b) or not all(same_value(x, y) for x, y in zip(a, b))):
            yield at + tag, a, b


answer = []
for path, ours in json.load(sys.stdin):
    dataset = pydicom.dcmread(path, force=True)
    del_bulk = [e.tag for e in dataset if e.tag in (0x7FE00010, 0x7FE00008, 0x7FE00009)]
    for tag in del_bulk:
        del dataset[tag]
    theirs = dataset.to_json_dict(bulk_data_threshold=10**9, bulk_data_element_handler=lambda e: "", suppress_invalid_tags=True)
    for tag, a, b in differences(theirs, ours):
        answer.append([path, tag, repr(a)[:300], repr(b)[:300]])
json.dump(answer, sys.stdout)
