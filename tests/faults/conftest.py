"""The compiled iofault.c, and processes to fork from."""

import subprocess
import sys

import pytest
from anomalies import compile_shim
from forks import Forks


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """iofault.c as a library to preload."""
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD is Linux's")
    try:
        return compile_shim(tmp_path_factory.mktemp("shim"))
    except FileNotFoundError:
        pytest.skip("iofault.c needs a C compiler, and there is no `cc`")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"`cc` cannot compile iofault.c: {error.stderr.decode(errors='replace')}")


@pytest.fixture(scope="session")
def faulty(shim):
    """Forks in which I/O can be made to fail."""
    with Forks(shim) as forks:
        yield forks


@pytest.fixture(scope="session")
def forks():
    """Forks without faults of their own."""
    with Forks() as forks:
        yield forks
