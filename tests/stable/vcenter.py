"""govmomi's vCenter on loopback, behind a proxy that holds or refuses single calls, as the simulator cannot."""

from __future__ import annotations

import http.client
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.agile.servers import Authority
from tests.goprograms import built

HERE = Path(__file__).parent
_FAULT = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode>
<faultstring>{text}</faultstring><detail><NoDiskSpaceFault xmlns="urn:vim25" xsi:type="NoDiskSpace">
<datastore>LocalDS_0</datastore></NoDiskSpaceFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"""


@dataclass
class Vcenter:
    """The simulator.

    own      its own port, at which nothing is held
    port     where the provider reaches it
    refuses  parts of a call's text: a call that has them all is answered with a fault
    """

    own: int
    port: int = 0
    refuses: tuple[str, ...] = ()
    cloned: threading.Event = field(default_factory=threading.Event)
    _go_on: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Who has a machine cloned gets no answer before the block ends; `cloned` says that it has been done."""
        self.cloned.clear()
        self._go_on.clear()
        try:
            yield
        finally:
            self._go_on.set()

    def clone_is_done(self) -> None:
        """Called by the proxy before it answers."""
        self.cloned.set()
        self._go_on.wait(120)


@contextmanager
def vcenter(folder: Path) -> Iterator[Vcenter]:
    """The simulator, built once into the cache of programs, and its proxy."""
    program = built("vsphere-simulator", HERE / "simulated" / "vsphere")
    with (folder / "vsphere.log").open("wb") as log:
        server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            assert server.stdout is not None
            it = Vcenter(int(server.stdout.readline().decode().rpartition(":")[2]))
            it._go_on.set()
            with _proxy(it, folder):
                yield it
        finally:
            server.kill()
            server.wait()


@contextmanager
def _proxy(it: Vcenter, folder: Path) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.upstream = http.client.HTTPSConnection("127.0.0.1", it.own, context=ssl._create_unverified_context())

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if it.refuses and all(part.encode() in body for part in it.refuses):
                self.answer(500, [("Content-Type", "text/xml")], _FAULT.format(text="Insufficient disk space").encode())
                return
            self.upstream.request(self.command, self.path, body, dict(self.headers.items()))
            response = self.upstream.getresponse()
            said = response.read()
            if b"<CloneVM_Task" in body:
                it.clone_is_done()
            self.answer(response.status, response.getheaders(), said)

        def answer(self, status: int, headers: list[tuple[str, str]], said: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = pass_on  # noqa: N815

        def finish(self) -> None:
            self.upstream.close()
            super().finish()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that was killed is what tests are about."""

    pair = Authority(folder).pair("vcenter")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    it.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
