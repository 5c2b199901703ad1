"""Looks where sessions live in workers: settings reach them, and pictures find their session."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np

from tests.server.front.running import running
from tests.server.look.picture_files import as_png
from tests.server.look.test_looks_live import (
    GREEN,
    PNG,
    RED,
    Screen,
    badge_part,
    disc_is_away,
    is_near,
    solid_picture,
)
from tests.server.peers import Client, tone_bursts


async def test_workers_know_of_badge_and_backgrounds(tmp_path: Path) -> None:
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    (folder / "meadow.png").write_bytes(as_png(solid_picture(0, 255, 0)))
    config = {"badge": False, "backgrounds": str(folder)}
    with running(tmp_path, workers=1, places=2, config=config, matte=True) as fleet:
        fleet.until(lambda: fleet.get("/readyz").status_code == 200)
        assert fleet.get("/persons").json()["pictures"] == ["meadow"]
        async with (
            Client(fleet.server, tone_bursts(2)) as client,
            httpx.AsyncClient(base_url=fleet.server.url, verify=False) as http,
        ):
            screen = Screen(client)
            place, path = f"{client.location}/background", f"{client.location}/controls"
            large = await http.put(place, content=bytes((8 << 20) + 1), headers=PNG)
            assert large.status_code == 413
            picture = as_png(solid_picture(255, 0, 0))
            sent = await http.put(place, content=picture, headers=PNG)
            assert sent.status_code == 204, sent.text
            answer = await http.post(path, json={"background": {"picture": "own"}})
            assert answer.status_code == 200, answer.text
            red = await screen.shows(lambda seen: is_near(RED)(seen) and disc_is_away(seen))
            answer = await http.post(path, json={"background": {"picture": "meadow"}})
            assert answer.status_code == 200, answer.text
            green = await screen.shows(lambda seen: is_near(GREEN)(seen) and disc_is_away(seen))
            for seen, color in ((red, RED), (green, GREEN)):
                assert np.abs(badge_part(seen).astype(int) - color[0]).max() < 14
