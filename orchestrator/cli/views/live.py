"""A run on a terminal: the lines of the plain view, and below them what is under way right now."""

from __future__ import annotations

import atexit
import threading
import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from orchestrator.cli.views import text as t
from orchestrator.cli.views.apply import PlainView, RunSummary
from orchestrator.model.address import Address, WorkloadKey
from orchestrator.model.change import Change, Plan
from orchestrator.model.outcome import Outcome, Progress

_LABEL_WIDTH = 24
_FRAMES_PER_SECOND = 8
_LEAVE_LINES = 3  # of the terminal, so that what was printed last stays in sight


class LiveView:
    """Steps that ended scroll up as lines; those under way stand below them, each with a spinner and its time."""

    def __init__(self, *, colour: bool) -> None:
        self._console = Console(no_color=not colour, highlight=False, emoji=False, markup=False, soft_wrap=True)
        self._lines = PlainView(self._print, colour=colour)
        self._spinner = Spinner("line" if self._console.options.ascii_only else "dots")
        self._lock = threading.Lock()  # of what is under way; never held while rich is called
        self._display = threading.Lock()  # of the display's start and end
        self._live: Live | None = None
        self._under_way: dict[Address, tuple[float, str]] = {}
        atexit.register(self._end)  # a run that ends in an error gives the terminal its cursor back

    def started(self, plan: Plan) -> None:
        """A line for each change that is about to be made."""
        self._lines.started(plan)

    def progress(self, progress: Progress) -> None:
        """Stands below the lines until the step ends."""
        with self._lock:
            since, _ = self._under_way.get(progress.address, (time.monotonic(), ""))
            self._under_way[progress.address] = (since, t.clean(progress.text))
        with self._display:
            if self._live is None:
                self._live = Live(self, console=self._console, refresh_per_second=_FRAMES_PER_SECOND, transient=True)
                self._live.start()

    def outcome(self, change: Change, outcome: Outcome) -> None:
        """Becomes a line."""
        with self._lock:
            self._under_way.pop(change.address, None)
        self._lines.outcome(change, outcome)

    def stopped(self, site: str, why: str) -> None:
        """Becomes a line."""
        self._lines.stopped(site, why)

    def went_back(self, workload: WorkloadKey, text: str, well: bool) -> None:
        """Becomes a line."""
        self._lines.went_back(workload, text, well)

    def finished(self, summary: RunSummary) -> None:
        """The display ends where no other run is under way."""
        with self._lock:
            idle = not self._under_way
        if idle:
            self._end()
        self._lines.finished(summary)

    def _end(self) -> None:
        with self._display:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _print(self, text: str) -> None:
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            steps = list(self._under_way.items())
        room = max(1, console.size.height - _LEAVE_LINES)
        frame = self._spinner.render(console.get_time())
        sites = max((t.width_of(a.site) for a, _ in steps), default=0)
        now = time.monotonic()
        for address, (since, text) in steps[:room]:
            head = f" {t.padded(t.clean(address.site), sites)}  {t.padded(t.clean(address.label), _LABEL_WIDTH)}  "
            took = f"   {now - since:.0f} s"
            space = console.size.width - 1 - t.width_of(head) - len(took)
            yield Text.assemble(str(frame), head, t.cut(text, max(space, 8)), took, no_wrap=True, overflow="crop")
        if len(steps) > room:
            yield Text(f"  and {len(steps) - room} more")
