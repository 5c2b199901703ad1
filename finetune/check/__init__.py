"""Whether a video can become a person: in seconds and in words, before anything is trained.

`check_video` opens a file that nobody vouches for and finds all that it can in one run. Where the
full track of a face is known, `measure_sync` tells whether the sound keeps step with the lips.
"""

from __future__ import annotations

from visavis.finetune.check.findings import Finding, VideoRefused, format_findings
from visavis.finetune.check.plan import Plan
from visavis.finetune.check.run import Checked, check_video
from visavis.finetune.check.sync import Sync, measure_sync, sync_finding

__all__ = [
    "Checked",
    "Finding",
    "Plan",
    "Sync",
    "VideoRefused",
    "check_video",
    "format_findings",
    "measure_sync",
    "sync_finding",
]
