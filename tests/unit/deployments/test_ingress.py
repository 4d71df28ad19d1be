"""What an ingress replica is made of by the settings; what it does is `tests/cluster`'s to see.

The imports of Ray warn, and warnings are errors here.
"""

import warnings
from pathlib import Path

from app.api.middleware.auth import Authenticator
from app.auth import api_keys
from app.config.settings import AppArgs
from app.images.decode_pool import DecodePool
from app.images.fetcher import Fetcher

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.ingress import _authenticator, _reader


def test_by_default_no_file_and_no_url_is_read_and_files_are_decoded_elsewhere() -> None:
    reader = _reader(AppArgs())
    assert (reader.folder, reader.fetcher) == (None, None)
    assert isinstance(reader.decoder, DecodePool)
    assert reader.decoder.size == AppArgs().encoder.workers


def test_a_folder_and_hosts_of_the_settings_are_read_from(tmp_path: Path) -> None:
    args = AppArgs.model_validate({"image_folder": str(tmp_path), "image_urls": {"hosts": ["img.example.org"]}})
    reader = _reader(args)
    assert reader.folder == tmp_path
    assert isinstance(reader.fetcher, Fetcher)
    assert reader.fetcher.allowed.hosts == ("img.example.org",)


def test_keys_of_the_settings_are_asked_for() -> None:
    assert _authenticator(AppArgs()) is None
    secret, key = api_keys.make("acme", ["read"])
    args = AppArgs.model_validate({"access": {"keys": [key.line]}})
    authenticator = _authenticator(args)
    assert isinstance(authenticator, Authenticator)
    assert authenticator.keys.ring.admit(secret.encode(), "read", authenticator.keys.clock()).tenant == "acme"
    assert _authenticator(args.model_copy(update={"auth": "off"})) is None
