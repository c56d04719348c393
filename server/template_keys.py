"""Where do the keys of the face templates rest, and how does a new one come into use beside the old?

`template.key` is the first; `template-2.key`, `template-3.key` … are its successors. The newest seals, each of them
opens. The folder is looked at anew for every sealing, and whenever a key is asked for that is not known yet: so a key
that `shualian person rekey --new-key` made, or that was copied here from another machine, is used without a restart.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from server.secret_files import KeyFileError, read_secret, written_new

_NAME: Final = re.compile(r"template(?:-([0-9]{1,6}))?\.key")
KEY_BYTES: Final = 32
KEYS_MAX: Final = 16


class TemplateKeyFiles:
    """The template keys in a folder, newest first. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Take the folder and read what is there.

        Raises:
            KeyFileMissingError: there is no key.
            KeyFileExposedError: others may read one.
            KeyFileError: one is not what it should be, or there are far too many.
        """
        self.folder: Final = folder
        self._lock: Final = Lock()
        self._names: Sequence[str] = ()
        self._keys: Mapping[str, bytes] = {}
        self.all()

    def all(self) -> Sequence[bytes]:
        """Return every key that is there now, newest first."""
        return tuple(self.by_file().values())

    def by_id(self, key_id: bytes) -> bytes | None:
        """Return the key with this id, None when there is none; an unknown one is looked for in the folder."""
        from face_pipeline.template_keys import key_id_of  # noqa: PLC0415 - who opens templates has the pipeline loaded

        for keys in (self._keys, self.by_file()):
            for key in keys.values():
                if key_id_of(key) == key_id:
                    return key
        return None

    def by_file(self) -> Mapping[str, bytes]:
        """Return every key that is there now by the name of its file, newest first."""
        with self._lock:
            names = _names(self.folder)
            if names != self._names or not names:
                self._keys = {name: _read(self.folder / name) for name in names or ["template.key"]}
                self._names = names
            return self._keys

    def make(self) -> Path:
        """Make the next key, readable by its owner alone, and return its file.

        Raises:
            KeyFileError: there are as many as there may be; drop those that nothing is sealed with.
        """
        names = _names(self.folder)
        if len(names) >= KEYS_MAX:
            raise KeyFileError(path=self.folder, detail=f"holds {len(names)} template keys; drop old ones first")
        path = self.folder / f"template-{_number(names[0]) + 1}.key"
        if not written_new(path, secrets.token_bytes(KEY_BYTES)):
            raise KeyFileError(path=path, detail="somebody else has just made it")
        return path

    def drop(self, name: str) -> None:
        """Remove the file of a key; whoever calls has looked that nothing is sealed with it."""
        (self.folder / name).unlink()


def holds_template_key(folder: Path) -> bool:
    """Return whether there is any template key in a folder: then the first one may have been dropped on purpose."""
    return bool(_names(folder))


def _names(folder: Path) -> list[str]:
    """Return the names of the key files, newest first."""
    found = [path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=_number, reverse=True)


def _number(name: str) -> int:
    matched = _NAME.fullmatch(name)
    return int(matched[1] or 1) if matched else 0


def _read(path: Path) -> bytes:
    key = read_secret(path)
    if len(key) != KEY_BYTES:
        raise KeyFileError(path=path, detail=f"must hold {KEY_BYTES} bytes")
    return key
