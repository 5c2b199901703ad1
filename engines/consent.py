"""Whether a person file states that who is shown agreed. Whoever shows a person asks here.

What a file says is a statement, not a proof: nothing here can know whether it is true.
"""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visavis.engines.errors import NoConsent, PersonFileError
from visavis.engines.fields import as_date, as_object, as_text, check_keys

__all__ = ["Consent", "consent_of", "promised_sentence", "require_consent"]

logger = logging.getLogger(__name__)

MAX_CHARACTERS = {"subject": 400, "given": 4000, "by": 200}
_KEYS = frozenset({*MAX_CHARACTERS, "on", "synthetic"})


@dataclass(frozen=True, slots=True)
class Consent:
    """What `person.json` says of consent.

    Attributes:
        subject: who is shown.
        given: the words of the consent, or why none is needed.
        on: the day it was given, or None.
        by: who recorded it.
        synthetic: nobody is shown.
    """

    subject: str = ""
    given: str = ""
    on: datetime.date | None = None
    by: str = ""
    synthetic: bool = False

    @property
    def stated(self) -> bool:
        """Whether it says who is shown and what was agreed, or why nothing had to be.

        `synthetic` alone does not do: that nobody is shown is a reason, and belongs into `given`.
        """
        return bool(self.subject.strip() and self.given.strip())


def consent_of(manifest: Mapping[str, Any]) -> Consent:
    """Return what `person.json` says of consent.

    Every field may be missing or empty; then less is stated.

    Raises:
        PersonFileError: a field is unknown, of the wrong type or too long.
    """
    value = as_object("consent", manifest["consent"])
    check_keys("consent", value, frozenset(), _KEYS)
    texts = {
        key: as_text(f"consent: {key}", value.get(key, ""), limit, least=0)
        for key, limit in MAX_CHARACTERS.items()
    }
    synthetic = value.get("synthetic", False)
    if not isinstance(synthetic, bool):
        raise PersonFileError("consent: synthetic must be true or false.")
    on = as_date("consent: on", value["on"]) if "on" in value else None
    return Consent(**texts, on=on, synthetic=synthetic)


def require_consent(
    file: str | os.PathLike[str], manifest: Mapping[str, Any], *, promised: bool
) -> None:
    """Refuse to show a person whose file states no consent.

    Args:
        file: where the person comes from, for the sentence.
        manifest: its `person.json`.
        promised: whoever runs this says that they have the consent; then it is only logged.

    Raises:
        NoConsent: the file states none, and none was promised.
    """
    if consent_of(manifest).stated:
        return
    if not promised:
        raise NoConsent(os.fspath(file))
    logger.warning("%s", promised_sentence(file))


def promised_sentence(file: str | os.PathLike[str]) -> str:
    """Return what the log says of a person who is shown because somebody promised their consent."""
    return f"{os.fspath(file)} states no consent; it is shown because of --i-have-consent"
