"""Servers behind TLS, with certificates made for the test."""

import datetime
import ipaddress
import ssl

import pytest
from server import STALL, delta, serving, stream
from talking import KEY, KEY_ENV, QUICK, deltas, failure, openai, text

from ctxeng.generation import http

pytest.importorskip("cryptography", reason="makes the certificates; keyring brings it")

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files with a certificate for 127.0.0.1, its own authority, and with its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(local, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure(certificate, monkeypatch):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv(KEY_ENV, KEY)
    http._tls.cache_clear()
    with serving(tls=context) as server:
        yield server
    http._tls.cache_clear()


def test_a_certificate_of_ones_own_authority_is_trusted_where_it_is_named(
    secure, certificate, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    url = secure.url.replace("http://", "https://")
    assert text(deltas(openai(secure, base_url=url))) == "fine"
    secure.reset(stream(delta(content="half"), STALL, end=False))
    last = deltas(openai(secure, QUICK, base_url=url))[-1]
    assert last.stop == "interrupted"
    assert "no further token within" in last.error
    assert secure.gone.wait(3)


def test_a_certificate_that_nobody_vouches_for_is_an_error_that_is_not_tried_again(secure):
    url = secure.url.replace("http://", "https://")
    error = failure(openai(secure, base_url=url))
    assert (error.kind, error.retryable) == ("unavailable", False)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert "SSL_CERT_FILE" in str(error)
    assert secure.requests == []
