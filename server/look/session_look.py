"""The look of one session, from what its visitor chose and sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.engines.client import PersonInfo
from visavis.engines.errors import ControlError
from visavis.server.look.choice import OWN
from visavis.server.look.look import Look
from visavis.server.look.looks import Looks, Plate

__all__ = ["SessionLook"]


class SessionLook:
    """For one event loop, and one change at a time.

    Args:
        person: who is shown.
        looks: makes them.
        plate: asks the engine what stood behind the person; called in a thread.
    """

    def __init__(self, person: PersonInfo, looks: Looks, plate: Plate) -> None:
        self.look = looks.filmed(person)
        self._person = person
        self._looks = looks
        self._plate = plate
        self._own: NDArray[np.uint8] | None = None

    async def changed(self, changes: Mapping[str, Any]) -> Look:
        """Return another look; nothing is changed by that.

        Args:
            changes: any of `background` and `framing`, as a visitor writes them.

        Raises:
            ControlError: it is not offered.
            VisavisError: what it needs is not to be had.
        """
        if not changes:
            return self.look
        names = self._looks.names if self._own is None else (*self._looks.names, OWN)
        choice = self.look.choice.changed(changes, self._person, names)
        return await self._looks.make(self._person, choice, plate=self._plate, own=self._own)

    async def read(self, data: bytes) -> NDArray[np.uint8]:
        """Read a picture that the visitor sent.

        Raises:
            ControlError: the person is shown as filmed only.
            RequestError: it is no picture, or one that is not taken.
        """
        if not self._person.has_matte:
            raise ControlError("This person is shown before the background they were filmed with.")
        return await self._looks.read(data, self._person)

    async def with_own(self, picture: NDArray[np.uint8]) -> Look:
        """Keep the visitor's picture; the look is another one where the old picture was shown."""
        choice = self.look.choice
        if not choice.is_own:
            self._own = picture
            return self.look
        look = await self._looks.make(self._person, choice, plate=self._plate, own=picture)
        self._own = picture
        return look
