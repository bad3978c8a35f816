"""Runs one Pulumi program, for `language.py`. It imports nothing of ours: it runs in the program's own environment.

What it needs comes as JSON on stdin, so that no secret is in a command line or an environment; what became of the
program goes as JSON to the file descriptor that is its only argument.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def main() -> None:
    """Read the request, run the program, tell what became of it."""
    answer_to = int(sys.argv[1])
    request = json.load(sys.stdin)
    result = contextvars.copy_context().run(_run, request)
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(answer_to, "w") as answer:
        json.dump(result, answer)
    os._exit(0)  # threads that the program has left behind are not waited for


def _run(request: dict[str, Any]) -> dict[str, Any]:
    asked = _watch_environment()
    try:
        import pulumi
    except ImportError as error:
        return {"error": f"the Pulumi SDK cannot be imported ({error})", "kind": "sdk"}
    from pulumi.runtime import reset_options, set_all_config

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # as Pulumi's own: failed resources fault many tasks
    reset_options(
        project=request["project"],
        stack=request["stack"],
        organization=request["organization"],
        monitor_address=request["monitor"],
        engine_address=request["engine"],
        parallel=request["parallel"],
        preview=request["preview"],
    )
    set_all_config(request["config"], request["secrets"])
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    sys.argv = [request["folder"]]
    failure = _program(pulumi, request)
    return {**failure, "asked": sorted(asked)} if failure else {}


def _program(pulumi: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Run it to its end; what went wrong, or nothing."""
    import grpc
    from pulumi.runtime import run_in_stack

    def start() -> None:
        runpy.run_path(request["folder"], run_name="__main__")

    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(request["parallel"], 1) * 4))
    loop.set_exception_handler(lambda loop, context: None)
    try:
        loop.run_until_complete(run_in_stack(start))
    except pulumi.ConfigMissingError as error:
        name = str(error.key).removeprefix(f"{pulumi.get_project()}:")
        return {
            **_told(error, request["folder"]),
            "error": f"`{name}` is not configured: give it in the workload's `vars`",
        }
    except pulumi.RunError as error:
        return {"error": str(error), "kind": "run"}
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:  # the engine ends already, and says why itself
            return {"error": "", "kind": "engine"}
        return {"error": str(error.details()), "kind": "engine"}
    except SystemExit as error:
        return (
            {} if error.code in (None, 0) else {"error": f"the program ended itself with {error.code}", "kind": "run"}
        )
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is told
        return _told(error, request["folder"])
    return {}


def _told(error: BaseException, folder: str) -> dict[str, Any]:
    """The exception, the place in the program's own files where it came from, and the traceback's end."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(folder):
        place: tuple[str, int] | None = (error.filename, error.lineno or 1)
    else:
        place = next(((f.filename, f.lineno or 1) for f in reversed(frames) if _is_own(f.filename, folder)), None)
    return {
        "error": "".join(traceback.format_exception_only(error)).strip(),
        "kind": type(error).__name__,
        "key": error.args[0] if isinstance(error, KeyError) and error.args else None,
        "file": place[0] if place else "",
        "line": place[1] if place else 0,
        "traceback": "".join(traceback.format_exception(error)),
    }


def _is_own(file: str, folder: str) -> bool:
    return file.startswith(folder + os.sep) and "site-packages" not in file


def _watch_environment() -> set[str]:
    """The names of environment variables that are asked for and are not there, filled as the program goes on."""
    asked: set[str] = set()

    class Watched(type(os.environ)):  # type: ignore[misc]
        def __getitem__(self, key: str) -> str:
            try:
                return str(super().__getitem__(key))
            except KeyError:
                asked.add(key)
                raise

        def __contains__(self, key: object) -> bool:
            there = bool(super().__contains__(key))
            if not there and isinstance(key, str):
                asked.add(key)
            return there

    os.environ.__class__ = Watched
    return asked


if __name__ == "__main__":
    main()
