"""A PKCS#11 token in software: SoftHSM2 with a folder of its own, which can be taken away and brought back."""

import atexit
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from shutil import rmtree, which

import pytest

PIN = "1234-made-up"
_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
_NUMBERS = count(1)


@dataclass(frozen=True, kw_only=True)
class Token:
    """One initialised token."""

    label: str
    module: Path
    folder: Path
    """Where all tokens of this process are."""

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the token out while the block runs, as if somebody had pulled a cable."""
        elsewhere = self.folder.with_name("tokens-away")
        self.folder.rename(elsewhere)
        try:
            yield
        finally:
            elsewhere.rename(self.folder)


def a_token() -> Token:
    """Return a new token; a machine without SoftHSM2 skips the test and says how to get it."""
    module = next((Path(path) for path in _MODULES if Path(path).exists()), None)
    tool = which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("SoftHSM2 is not installed; `make softhsm` does it")
    folder = _tokens_folder()
    label = f"test-{next(_NUMBERS)}"
    subprocess.run(
        [tool, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN],
        check=True,
        capture_output=True,
    )
    return Token(label=label, module=module, folder=folder)


@cache
def _tokens_folder() -> Path:
    """Make the folder of this process's tokens and tell SoftHSM2, which reads it from the environment when loaded."""
    base = Path(tempfile.mkdtemp(prefix="shualian-softhsm-"))
    atexit.register(rmtree, base, ignore_errors=True)
    tokens = base / "tokens"
    tokens.mkdir(mode=0o700)
    settings = base / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    return tokens
