"""What can go wrong when a labelled folder is measured?"""

from typing import ClassVar


class EvaluationError(Exception):
    """Root of what this room raises; only the command line asks it, so that no terminal ever sees one of these."""

    reason: ClassVar[str] = "EVALUATION_FAILED"


class LabelsError(EvaluationError):
    """The labels of the folder cannot be used; every mistake is listed, by file and line."""

    reason: ClassVar[str] = "LABELS_INVALID"

    def __init__(self, *, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


class TooManyPairsError(EvaluationError):
    """All pairs of so many pictures do not fit into memory; a limit helps."""

    reason: ClassVar[str] = "TOO_MANY_PAIRS"

    def __init__(self, *, pictures: int, pictures_max: int) -> None:
        self.pictures = pictures
        self.pictures_max = pictures_max
        super().__init__(f"{pictures} pictures, at most {pictures_max}")
