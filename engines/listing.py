"""What person files there are and what they say of themselves, without loading anybody.

Of a file that is new or was changed only the head is read; what an unchanged one says is known.
Nothing here is trusted for more than showing it in a list: whoever loads a person reads the file
whole and checks every hash.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from visavis.engines.client import PersonInfo
from visavis.engines.consent import consent_of
from visavis.engines.controls import control_names
from visavis.engines.errors import PersonFileError
from visavis.engines.person_file import Head, PersonFile, Stamp

__all__ = ["MAX_FILES", "SUFFIX", "Listed", "Listing", "info_of"]

SUFFIX = ".person"
MAX_FILES = 10_000
MAX_PROBLEM = 600  # characters
_PAUSE_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of one file.

    Attributes:
        stamp: of the file when it was read.
        info: of its person, or None where the file is no good.
        agreed: it states the consent of who is shown.
        problem: why it is no good, a sentence, or "".
    """

    stamp: Stamp
    info: PersonInfo | None
    agreed: bool
    problem: str


class Listing:
    """The person files of a folder, and others that were named.

    Not for use by two threads at once.

    Args:
        files: paths that were named.
        folder: its files that end in `.person` are listed, others and those below it are not.
        known: what an earlier listing knew, by path.
        pause: called after each file that is read while people are being served.

    Attributes:
        files: what is known of each file, by path: those named first, then the folder's by name.
        problems: sentences on the folder itself.
    """

    def __init__(
        self,
        files: Sequence[str] = (),
        folder: Path | None = None,
        *,
        known: Mapping[str, Listed] | None = None,
        pause: Callable[[], None] = lambda: time.sleep(_PAUSE_SECONDS),
    ) -> None:
        self.files: dict[str, Listed] = dict(known or {})
        self.problems: tuple[str, ...] = ()
        self._named = tuple(dict.fromkeys(files))
        self._folder = folder
        self._pause = pause
        self._first = True

    def look(self) -> bool:
        """Look at the disk; returns whether anything is not as it was known."""
        problems: list[str] = []
        found: dict[str, Listed] = {}
        try:
            for path, stamp in self._stamps(problems):
                known = self.files.get(path)
                if known is None or known.stamp != stamp:
                    known = _read(path, stamp)
                    if not self._first:
                        # Somebody may be talking: no long stretch without letting others run.
                        self._pause()
                found[path] = known
        except OSError as error:
            # A folder that is away for a moment takes nobody off the list.
            problems.append(f"{self._folder} cannot be read: {(error.strerror or '').lower()}.")
            found = self.files
        changed = found != self.files or list(found) != list(self.files)
        self.files, self.problems, self._first = found, tuple(problems), False
        return changed

    def _stamps(self, problems: list[str]) -> Iterator[tuple[str, Stamp]]:
        for path in self._named:
            try:
                yield path, Stamp.of(os.stat(path))
            except OSError:
                yield path, Stamp(0, 0, 0)  # reading it says what is wrong
        if self._folder is None:
            return
        stamps: dict[str, Stamp] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue  # a link to nothing, or gone since
                if len(stamps) == MAX_FILES:
                    problems.append(f"{self._folder} holds more than {MAX_FILES} person files.")
                    break
                stamps[entry.path] = Stamp.of(status)
        for path in sorted(stamps):
            if path not in self._named:
                yield path, stamps[path]


def _read(path: str, stamp: Stamp) -> Listed:
    try:
        with PersonFile(path) as file:
            head = file.head()
            return Listed(file.stamp, info_of(head), consent_of(head.document).stated, "")
    except PersonFileError as error:
        sentence = str(error) if path in str(error) else f"{path}: {error}"
        # A file's name may hold anything; a log and a terminal show only what can be printed.
        shown = "".join(c if c.isprintable() else "?" for c in sentence[:MAX_PROBLEM])
        return Listed(stamp, None, False, shown)


def info_of(head: Head) -> PersonInfo:
    """Return what people and pages need to know of a person."""
    manifest = head.manifest
    return PersonInfo(
        name=manifest.name,
        display_name=manifest.display_name,
        width=manifest.width,
        height=manifest.height,
        fps=manifest.fps,
        lookahead_ms=manifest.lookahead_ms,
        lookaheads_ms=manifest.lookaheads_ms,
        id=head.id,
        has_preview=manifest.preview is not None,
        controls=control_names(head.document),
        has_matte=manifest.look.matte is not None,
        face=manifest.look.face,
    )
