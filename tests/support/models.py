"""The installed models: tests run on the real ones, and say what to do when they are not there."""

import os
from functools import cache
from pathlib import Path

import pytest

from face_pipeline import FacePipeline, FacePolicy, ModelError, load_manifest
from server.config import load_config


def installed_models_dir() -> Path:
    """Return where the models are installed."""
    return load_config(None, os.environ).models_dir


@cache
def loaded_pipeline() -> FacePipeline:
    """Return the pipeline on the installed models, loaded once; fail the test when they are not there."""
    try:
        return FacePipeline.load(manifest=load_manifest(), models_dir=installed_models_dir(), policy=FacePolicy())
    except ModelError as error:
        pytest.fail(f"{error}; run make setup")
