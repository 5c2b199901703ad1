"""Festival: its voices, and how it is asked for sound and segments in time."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from visavis.finetune.speech.phones import Phone
from visavis.finetune.speech.phonesets import from_phoneset

__all__ = ["FESTIVAL", "festival_says", "festival_voices"]

# Our name: Festival's name, language, and the encoding that its text analysis expects.
FESTIVAL: dict[str, tuple[str, str, str]] = {
    "hts": ("cmu_us_slt_arctic_hts", "en", "utf-8"),
    "kal": ("kal_diphone", "en", "utf-8"),
    "ked": ("ked_diphone", "en", "utf-8"),
    "ona": ("upc_ca_ona_hts", "ca", "latin-1"),
    "dita": ("czech_dita", "cs", "iso-8859-2"),
    "krb": ("czech_krb", "cs", "iso-8859-2"),
    "machac": ("czech_machac", "cs", "iso-8859-2"),
    "ph": ("czech_ph", "cs", "iso-8859-2"),
    "lj": ("suo_fi_lj_diphone", "fi", "latin-1"),
    "mv": ("hy_fi_mv_diphone", "fi", "latin-1"),
    "nsk-hi": ("hindi_NSK_diphone", "hi", "utf-8"),
    "nsk-mr": ("marathi_NSK_diphone", "mr", "utf-8"),
    "nsk-te": ("telugu_NSK_diphone", "te", "utf-8"),
    "lp": ("lp_diphone", "it", "latin-1"),
    "pc": ("pc_diphone", "it", "latin-1"),
    "nsh": ("msu_ru_nsh_clunits", "ru", "utf-8"),
}

_SCRIPT = """(voice_{voice})
(Parameter.set 'Duration_Stretch {stretch})
(define (say text wav)
  (set! u (utt.synth (eval (list 'Utterance 'Text text))))
  (utt.save.wave u wav 'riff)
  (format t "U %s\\n" wav)
  (mapcar (lambda (s) (format t "S %s %f %s\\n" (item.name s) (item.feat s "end")
    (item.feat s "R:SylStructure.parent.stress"))) (utt.relation.items u 'Segment)))
"""


@functools.cache
def festival_voices() -> frozenset[str]:
    """Those of `FESTIVAL` that are installed here."""
    if not shutil.which("festival"):
        return frozenset()
    listed = subprocess.run(
        ["festival", "-b", '(format t "%l" (voice.list))'], capture_output=True, text=True
    ).stdout
    names = set(listed.replace("(", " ").replace(")", " ").split())
    return frozenset(ours for ours, (theirs, _, _) in FESTIVAL.items() if theirs in names)


def festival_says(
    name: str, texts: Sequence[str], stretch: float, folder: Path
) -> list[tuple[Path, list[Phone]] | None]:
    """Says every text into `folder`; None for a text that Festival gave up on."""
    voice, language, encoding = FESTIVAL[name]
    script = _SCRIPT.format(voice=voice, stretch=f"{stretch:.3f}")
    paths = [folder / f"{i}.wav" for i in range(len(texts))]
    for text, path in zip(texts, paths, strict=True):
        plain = text.replace("\\", " ").replace('"', " ")
        script += f'(say "{plain}" "{path}")\n'
    with tempfile.NamedTemporaryFile("wb", dir=folder, suffix=".scm", delete=False) as f:
        f.write(script.encode(encoding, "ignore"))
    done = subprocess.run(["festival", "-b", f.name], check=False, capture_output=True)
    said: dict[str, list[Phone]] = {}
    current: list[Phone] = []
    start = 0.0
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        field = line.split()
        if field[:1] == ["U"]:
            current, start = [], 0.0
            said[field[1]] = current
        elif field[:1] == ["S"] and len(field) == 4:
            end = max(start, float(field[2]))
            before = current[-1].name if current else ""
            current += from_phoneset(language, field[1], start, end, field[3], before)
            start = end
    return [
        (path, said[str(path)]) if path.exists() and str(path) in said else None for path in paths
    ]
