"""Do the networks and formulas of the published systems compute what the originals computed?

A folder of parity cases holds inputs and outputs of the original programs; the weights are made
from the parameters' names. `runner` runs every case of a folder, the modules named after a system
say how a case of it is run here.
"""

from __future__ import annotations

__all__: list[str] = []
