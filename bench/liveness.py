"""How often does the passive model alone call a picture live, by kind of picture?

`python -m bench.liveness FOLDER [--json]`, where FOLDER holds `liveness_labels.csv` with `file,live,kind`. One frame
each: the platform never decides on one, and never on this cue alone.
"""

import argparse
import csv
import json
import os
from collections import defaultdict
from pathlib import Path

from face_pipeline import FacePolicy, load_manifest
from face_pipeline.decode import decode_portrait
from face_pipeline.runtime import Models
from face_pipeline.session import Stages
from server.config import load_config

LABELS = "liveness_labels.csv"


def passive_by_kind(folder: Path, policy: FacePolicy) -> dict[str, dict[str, int]]:
    """Return for each kind how many pictures there are, how many show a face, and how many are called live."""
    stages = Stages.of(Models.load(load_manifest(), load_config(None, os.environ).models_dir), policy)
    found: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"pictures": 0, "with_face": 0, "called_live": 0})
    with (folder / LABELS).open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            counts = found[row["kind"]]
            counts["pictures"] += 1
            image = decode_portrait((folder / row["file"]).read_bytes(), policy)
            faces = stages.detector.faces(image)
            if faces:
                live = stages.passive.live_probability(image, faces[0].box) >= policy.passive_min
                counts["with_face"] += 1
                counts["called_live"] += live
    return dict(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.liveness", description=__doc__)
    parser.add_argument("folder", type=Path, help=f"holds {LABELS} and the pictures it names")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    found = passive_by_kind(arguments.folder, FacePolicy())
    if arguments.json:
        print(json.dumps(found))
    else:
        for kind, counts in sorted(found.items()):
            print(f"{kind:24} {counts['called_live']:4} of {counts['pictures']:4} called live")


if __name__ == "__main__":
    main()
