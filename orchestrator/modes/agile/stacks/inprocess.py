"""What Pulumi asks of us while it runs is served in our own process: the ground that these services stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

_MESSAGE_BYTES = 400 * 1024 * 1024


class InProcess(provider_pb2_grpc.ResourceProviderServicer):
    """A provider of `kubernetes:` types whose configuration never differs."""

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version="4.999.0")  # SDKs ask for their own version or a later one

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)


@contextmanager
def listening(register: Callable[[grpc.Server], None], threads: int, name: str) -> Iterator[int]:
    """The port of a server on loopback for the services that `register` adds; its threads bear the name."""
    options = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", _MESSAGE_BYTES)]
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name) as pool:
        server = grpc.server(pool, options=options)
        register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(grace=None).wait()


def serving(provider: InProcess, threads: int) -> AbstractContextManager[int]:
    """The port of a server on loopback that answers for this provider."""
    add = provider_pb2_grpc.add_ResourceProviderServicer_to_server
    return listening(lambda server: add(provider, server), threads, "provider")
