"""The keys of a lab's control plane: an authority, a certificate for its loopback servers, a service-account key."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

# A lab is made and thrown away; nobody should meet an expired one.
_VALID = datetime.timedelta(days=3650)


def make(folder: Path) -> None:
    """Writes ca.crt, server.crt, server.key, service-account.key and service-account.pub (private ones mode 0600).

    The certificate is for 127.0.0.1 and localhost, as server and as client (etcd asks for one); the authority's own
    key is not kept.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("orchestrator-lab-ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _VALID)
        )

    def keep_key(name: str, key: ec.EllipticCurvePrivateKey) -> None:
        pem = serialization.Encoding.PEM
        form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        _write(folder / name, key.private_bytes(pem, form, plain))

    authority, server, accounts = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca = (
        certificate("orchestrator-lab-ca", authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    leaf = (
        certificate("orchestrator-lab", server)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    keep_key("server.key", server)
    keep_key("service-account.key", accounts)
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    _write(folder / "service-account.pub", accounts.public_key().public_bytes(serialization.Encoding.PEM, public))
    _write(folder / "server.crt", leaf.public_bytes(serialization.Encoding.PEM))
    _write(folder / "ca.crt", ca.public_bytes(serialization.Encoding.PEM))  # last: its being there says that all are


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
