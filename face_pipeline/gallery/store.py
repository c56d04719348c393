"""Where do enrolled faces rest? A port, and the smallest thing that fulfils it."""

from typing import Protocol

from face_pipeline.frames import Template
from face_pipeline.template_keys import TemplateKeys
from face_pipeline.templates import open_sealed, seal


class TemplateStore(Protocol):
    """Keeps at most one template per person."""

    def put(self, person_id: str, template: Template) -> None:
        """Keep this template in the place of any earlier one."""
        ...

    def get(self, person_id: str) -> Template | None:
        """Return the person's template; None when there is none.

        Raises:
            TemplateSealError: what is stored does not open.
        """
        ...

    def delete(self, person_id: str) -> bool:
        """Forget the person's template; return whether there was one."""
        ...


class MemoryTemplateStore:
    """Templates in memory, sealed all the same, so that tests and a desk run through the real encryption."""

    def __init__(self, *, keys: TemplateKeys) -> None:
        self._keys = keys
        self._sealed: dict[str, bytes] = {}

    def put(self, person_id: str, template: Template) -> None:
        """Keep this template in the place of any earlier one."""
        self._sealed[person_id] = seal(template, keys=self._keys, person_id=person_id)

    def get(self, person_id: str) -> Template | None:
        """Return the person's template; None when there is none."""
        sealed = self._sealed.get(person_id)
        return None if sealed is None else open_sealed(sealed, keys=self._keys, person_id=person_id)

    def delete(self, person_id: str) -> bool:
        """Forget the person's template; return whether there was one."""
        return self._sealed.pop(person_id, None) is not None
