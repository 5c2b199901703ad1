"""The networks and formulas of `style_avatar`, a face of one picture that talks in a chosen style.

H. Wu, J. Jia, H. Wang, Y. Dou, C. Duan, Q. Deng, "Imitating arbitrary talking style for realistic
audio-driven talking face synthesis", ACM Multimedia 2021 (arXiv 2111.00203): sound and style to
expression, a Basel face drawn as texture coordinates, a learned texture, a generator. Pictures are
blue, green, red.
"""

from __future__ import annotations

__all__: list[str] = []
