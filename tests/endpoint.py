"""A PostgreSQL server over TCP in the place of a cluster, with and without TLS."""

import contextlib
import datetime as dt
import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local_redshift.server.accounts import as_account, let_account_reach, server_account
from local_redshift.server.installation import binaries

SECRET = "s3cret-of-the-cluster"


TLS_REQUEST = bytes.fromhex("00000008 04d2162f")  # of PostgreSQL's protocol


GSS_REQUEST = bytes.fromhex("00000008 04d21630")


HOUR = dt.timedelta(hours=1)


def certificate(name: str, issuer: tuple | None = None) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for `name` and its key, signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer = issuer or (None, key)
    now = dt.datetime.now(dt.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + 24 * HOUR)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return built.sign(signer[1], hashes.SHA256()), key


def write_certificates(folder: Path) -> None:
    """A root (root.crt) and a certificate that it signed for localhost (server.crt, server.key)."""
    root = certificate("root of the tests")
    signed, key = certificate("localhost", root)
    pem = serialization.Encoding.PEM
    (folder / "root.crt").write_bytes(root[0].public_bytes(pem))
    (folder / "server.crt").write_bytes(signed.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(secret)
    (folder / "server.key").chmod(0o600)


def start_server(folder: Path) -> tuple[subprocess.Popen, int]:
    """A PostgreSQL server on a port of this machine that asks for a password; it has no TLS of its own."""
    account = server_account()
    (folder / "password").write_text(SECRET)
    let_account_reach(account, folder, binaries())
    for path in (folder, *folder.iterdir()):
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
    options = ["--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync", "-U", "dwhuser"]
    command = [str(binaries() / "initdb"), *options, f"--pwfile={folder}/password", f"{folder}/data"]
    subprocess.run(command, check=True, capture_output=True, **as_account(account), cwd="/")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(binaries() / "postgres"), "-D", f"{folder}/data", "-p", str(port), "-h", "localhost"]
    command += ["-k", ""]
    process = subprocess.Popen(
        command, **as_account(account), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("localhost", port)).close()
            return process, port
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < deadline


class TlsFront:
    """A TLS endpoint in front of a PostgreSQL server: answers the request for TLS, then passes all on."""

    def __init__(self, folder: Path, port: int) -> None:
        self._backend = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self._listener = socket.create_server(("localhost", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while (request := client.recv(8)) == GSS_REQUEST:
                client.sendall(b"N")
            if request != TLS_REQUEST:
                return
            client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as inside,
                socket.create_connection(("localhost", self._backend)) as backend,
            ):
                threading.Thread(target=self._pass_on, args=(backend, inside), daemon=True).start()
                self._pass_on(inside, backend)

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
