"""A test that pytest runs where it writes the library's own assertions anew: see downstream.py."""

import gc
import importlib
import re
import sys

import pytest

import resilient_store as rs

NOWHERE = "http://127.0.0.1:9"  # nothing listens there
KEY = "c2VjcmV0"


@pytest.fixture(autouse=True)
def _compilers_meet():
    """Let threads change places inside the compiler: while it allocates, garbage is collected."""
    usual, often = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    gc.callbacks.append(_some_steps)
    yield
    gc.callbacks.remove(_some_steps)
    gc.set_threshold(*often)
    sys.setswitchinterval(usual)


def _some_steps(*_):
    for _ in range(200):
        pass


def test_three_platforms_are_opened_at_once():
    for sdk in ("adlfs", "gcsfs", "s3fs"):  # they take longest, and threads would part there
        importlib.import_module(sdk)
    aws = {"key": "key", "secret": "secret", "endpoint_url": NOWHERE}
    gcp = {"token": "anon", "endpoint_url": NOWHERE}
    azure = {"connection_string": f"AccountName=photos;AccountKey={KEY};BlobEndpoint={NOWHERE}"}
    store = rs.ResilientFileSystem(
        [
            rs.Backend("s3://photos", name="aws", storage_options=aws),
            rs.Backend("gs://photos", name="gcp", storage_options=gcp),
            rs.Backend("az://photos", name="azure", storage_options=azure),
        ]
    )
    with store, pytest.raises(rs.InsufficientCopiesError) as caught:
        store.write("cat.jpg", b"meow")
    said = str(caught.value)
    for backend in ("aws", "gcp", "azure"):  # each was opened, and found nobody there
        assert re.search(rf"{backend}: unavailable \(\w*(Connect|Request)\w*Error\)", said), said
