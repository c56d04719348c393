"""What stands before the terminal's cameras? One person's portrait, as a head, or as one of the things made from it."""

from itertools import count
from typing import Final

from mock_terminal.camera import Camera, Portrait
from mock_terminal.capture import Viewfinder
from mock_terminal.eye import Cameras
from mock_terminal.patient import Patient
from mock_terminal.scenes import Scene


class Window:
    """A place before the cameras; whoever comes there again stands a little differently."""

    def __init__(self, portrait: Portrait, *, cameras: Cameras = Cameras.ALL, seed: int = 0) -> None:
        self.cameras: Final = cameras
        self._portrait: Final = portrait
        self._seeds: Final = count(seed)

    def eye(self, scene: Scene = Scene.LIVE_HEAD, *, obeys: bool = True, comes_back: bool = False) -> Viewfinder:
        """Return the cameras with a scene before them, which moves as `Patient` says."""
        camera = Camera(self._portrait, scene=scene, seed=next(self._seeds))
        return Viewfinder(camera, Patient(obeys=obeys, comes_back=comes_back), cameras=self.cameras)
