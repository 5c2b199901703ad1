"""What a frame of a published system costs: as its own program runs it, and as it runs here."""

from __future__ import annotations

from visavis.models.systems.speed.systems import SYSTEMS, needed_bytes, workloads
from visavis.models.systems.speed.timing import about_device, measure
from visavis.models.systems.speed.workload import Workload

__all__ = ["SYSTEMS", "Workload", "about_device", "measure", "needed_bytes", "workloads"]
