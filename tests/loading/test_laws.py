"""Every family keeps the laws of the Loader contract."""

import pytest
from family_samples import SAMPLES

from ctxeng.loading import FileLoader
from ctxeng.settings import LoadingSettings
from ctxeng.testing.loaders import LOADER_LAWS


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.uri)
@pytest.mark.parametrize("law", LOADER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, sample):
    law(FileLoader(LoadingSettings(archives=True)), [sample])
