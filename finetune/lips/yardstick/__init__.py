"""The yardstick for lips: real clips, voices never heard, sounds that are no speech, the picture.

`evaluate` measures; `table` and `as_json` show what came out. Nothing here needs torch, but for
measuring a checkpoint of the network instead of a person.
"""

from __future__ import annotations

from visavis.finetune.lips.yardstick.evaluation import Options, Result, evaluate

__all__ = ["Options", "Result", "evaluate"]
