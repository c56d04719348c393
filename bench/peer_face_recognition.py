"""Describes faces with `face_recognition` (dlib), in an environment of its own: paths in, numbers and times out.

`bench.peers` starts it there, and nothing of ours may be imported here. A path on each line in, JSON on each line out.
"""

import json
import sys
import time

import face_recognition  # type: ignore[import-not-found]  # installed beside us, never among us


def described(path: str) -> dict[str, object]:
    """Return the 128 numbers of the face nearest to the middle, and the processor time of both steps."""
    image = face_recognition.load_image_file(path)
    started = time.process_time()
    found = face_recognition.face_locations(image)  # as its documentation does it: HOG, enlarged once
    between = time.process_time()
    detect_ms = 1000 * (between - started)
    if not found:
        return {"detect_ms": detect_ms, "describe_ms": None, "numbers": None}
    height, width = image.shape[:2]

    def off_centre(box: tuple[int, int, int, int]) -> float:
        top, right, bottom, left = box
        return float(((left + right - width) ** 2 + (top + bottom - height) ** 2) ** 0.5)

    numbers = face_recognition.face_encodings(image, [min(found, key=off_centre)])[0]
    describe_ms = 1000 * (time.process_time() - between)
    return {"detect_ms": detect_ms, "describe_ms": describe_ms, "numbers": [float(number) for number in numbers]}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(described(line.strip())) + "\n")
        sys.stdout.flush()
