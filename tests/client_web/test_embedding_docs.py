"""What docs/embedding.md tells a page's author to write is run as it stands, in a real Chromium.

The server's address is the one thing that is changed. It is changed where it is the documented one
and nowhere else, so a wrong port or token, a method that does not exist or a page that shows
nothing fails here.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser import Served, serve_in_thread, spoken_wave
from tests.client_web.helpers import Engine, until
from visavis.engines.client import ControlNames
from visavis.server.app import create_app
from visavis.server.config import ServerConfig

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "embedding.md").read_text()
EXAMPLES = ROOT / "examples" / "embedding"
TOKEN = "secret"
HERE = f"http://localhost:{ServerConfig().port}"
THERE = "https://avatar.example"
PAGE = "<!doctype html><meta charset=utf-8><title>mine</title><button id=go>Go</button>"


def blocks() -> list[str]:
    """The indented blocks of the page, without their indentation."""
    found: list[list[str]] = []
    inside = False
    for line in DOCS.splitlines():
        deep = re.match(r" {4,}", line)
        if deep and not inside:
            found.append([])
        inside = bool(deep) or (inside and not line)
        if inside:
            found[-1].append(line)
    cut = [min(len(re.match(" *", li)[0]) for li in b if li) for b in found]  # type: ignore[index]
    return ["\n".join(li[n:] for li in b).strip() for b, n in zip(found, cut, strict=True)]


BLOCKS = blocks()
MARKUP = [block for block in BLOCKS if block.startswith("<")]
BOOKMARKS = [block for block in BLOCKS if block.startswith("javascript:")]
SCRIPTS = [b for b in BLOCKS if re.match(r"(import|const) ", b)]
COMMANDS = [b for b in BLOCKS if b not in MARKUP + BOOKMARKS + SCRIPTS]


def test_no_block_is_left_out() -> None:
    assert len(MARKUP) == 4 and len(SCRIPTS) == 4
    assert len(BOOKMARKS) == 1 and len(COMMANDS) == 3
    known = {"make", "python3", ".venv/bin/visavis", "visavis"}
    assert {line.split()[0] for b in COMMANDS for line in b.splitlines()} <= known


@pytest.fixture(scope="module")
def avatar_server() -> Iterator[Served]:
    """A server with a token, and a person of whom everything can be chosen."""
    engine = Engine(places=8)
    engine.person = replace(
        engine.person,
        controls=ControlNames(("calm", "lively"), "lively", ("own", "still"), ()),
        has_matte=True,
        face=(0.5, 0.4, 0.4),
    )
    engine.people = (engine.person,)
    app = create_app(ServerConfig(token=TOKEN, requests_per_second=50), engine)
    with serve_in_thread(app) as served:
        yield served
    engine.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, avatar_server: Served) -> Iterator[Served]:
    """The author's own site, with a page for each block of markup, the examples, and a sound."""
    sound = tmp_path_factory.mktemp("sound") / "hello.wav"
    spoken_wave(sound, before=0.1, after=0.1)

    def pointed(text: str) -> str:
        return point(text, avatar_server)

    async def page(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "hello.wav":
            return Response(sound.read_bytes(), media_type="audio/wav")
        if name.isdecimal():
            return HTMLResponse(f"<meta charset=utf-8>{LOADER}{pointed(MARKUP[int(name)])}")
        if (EXAMPLES / name).is_file():
            return HTMLResponse(pointed((EXAMPLES / name).read_text()))
        return HTMLResponse(PAGE + (pointed(UNTOUCHED) if name == "untouched" else ""))

    # The element needs its module; where a block has none, it is the one of the first.
    source = re.search(r'<script type="module" src="[^"]+"></script>', MARKUP[0])
    assert source is not None
    global LOADER
    LOADER = pointed(source[0])
    with serve_in_thread(Starlette(routes=[Route("/{name:path}", page)])) as served:
        yield served


LOADER = ""


def point(text: str, server: Served) -> str:
    """The same with the address of the test's server for the documented ones."""
    return text.replace(HERE, server.url.rstrip("/")).replace(THERE, server.url.rstrip("/"))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(permissions=["microphone", "camera"])
    context.set_default_timeout(15_000)
    yield context
    context.close()


class Console(list[str]):
    """What a page said in its console that an author would have to look into."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on(
            "console",
            lambda entry: (
                self.append(entry.text)
                if entry.type in ("error", "warning")
                and "favicon" not in entry.location["url"]
                and "GL Driver Message" not in entry.text  # of a machine without a graphics card
                else None
            ),
        )


@pytest.mark.parametrize("number", range(4))
def test_markup_shows_a_person(context: BrowserContext, site: Served, number: int) -> None:
    page = context.new_page()
    console = Console(page)
    page.goto(f"{site.url}{number}")
    element = "document.querySelector('visavis-avatar')"
    if page.query_selector("button"):
        page.evaluate(
            f"""() => {{
              window.said = null;
              {element}.addEventListener("speaking", ({{detail}}) => (window.said ??= detail));
            }}"""
        )
        page.click("button")
        until(page, "window.said")
        assert page.evaluate(f"{element}.muted") is False
    else:
        until(page, f"{element}.state === 'live'")
        until(page, f"{element}.video.videoWidth > 0")
    # The page that an author copies first has a size of its own.
    if number == 0:
        assert page.evaluate(f"{element}.clientWidth") == 400
    page.wait_for_timeout(200)
    assert console == []


@pytest.mark.parametrize("number", range(4))
def test_scripts_run(
    context: BrowserContext, site: Served, avatar_server: Served, number: int
) -> None:
    page = context.new_page()
    console = Console(page)
    page.goto(f"{site.url}empty")
    script = point(SCRIPTS[number], avatar_server)
    if not script.startswith("import"):
        imported = re.search(r"import \{ connect \} from [^;]+;", SCRIPTS[0])
        assert imported is not None
        script = f"{point(imported[0], avatar_server)}\n{script}"
    script = re.sub(r"import (\{[^}]*\}) from ([^;]+);", r"const \1 = await import(\2);", script)
    shown = "return typeof avatar === 'undefined' ? null : [avatar.state, avatar.stream];"
    page.evaluate(
        f"""() => {{
          document.getElementById("go").onclick = () => {{
            const run = async () => {{ {script}\n{shown} }};
            run().then(
              (result) => (window.done = [result]),
              (error) => (window.failed = `${{error}}`),
            );
          }};
        }}"""
    )
    page.click("#go")
    until(page, "window.done || window.failed")
    assert page.evaluate("window.failed") is None
    if "takePart" in script:
        assert takes_the_camera(page)
    else:
        assert page.evaluate("done[0][0]") == "connected"
        assert page.evaluate("done[0][1].getTracks().length") == 2
    assert console == []


def takes_the_camera(page: Page) -> bool:
    """Whether the page is given the avatar when it asks for a camera."""
    label: str = page.evaluate(
        """async () => {
          const [first] = await navigator.mediaDevices.enumerateDevices();
          const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
          return `${first.label}, ${stream.getTracks().length}`;
        }"""
    )
    return label == "visavis avatar, 2"


def test_the_bookmark_takes_the_camera(
    context: BrowserContext, site: Served, avatar_server: Served
) -> None:
    page = context.new_page()
    page.goto(f"{site.url}empty")
    page.evaluate("(mark) => { location.href = mark; }", point(BOOKMARKS[0], avatar_server))
    listed = "navigator.mediaDevices.enumerateDevices().then(([first]) => first.label)"
    until(page, f"{listed}.then((label) => label === 'visavis avatar')")
    assert page.title() == "mine", "the page stays"
    assert takes_the_camera(page)


def test_the_commands_are_the_commands(tmp_path: Path) -> None:
    targets = (ROOT / "Makefile").read_text()
    serving = 0
    for line in (line for block in COMMANDS for line in block.splitlines()):
        program, *words = shlex.split(line)
        if program == "make":
            assert all(re.search(rf"(?m)^{word}:", targets) for word in words)
        elif program.endswith("visavis"):
            if words[0] == "serve":
                serving += 1
                assert words[1:] == ["--token", TOKEN]
                continue
            words = [str(tmp_path / word) if word.endswith("/") else word for word in words]
            done = subprocess.run(
                [sys.executable, "-m", "visavis", *words], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    assert serving == 1
    assert (tmp_path / "avatar" / "manifest.json").is_file()


def test_the_plain_example(context: BrowserContext, site: Served) -> None:
    page = context.new_page()
    console = Console(page)
    page.goto(f"{site.url}plain.html")
    until(page, "document.getElementById('state').textContent === 'Speaking.'", seconds=30)
    assert page.evaluate("document.querySelector('visavis-avatar').muted") is True
    page.click("#hear")
    assert page.evaluate("document.querySelector('visavis-avatar').muted") is False
    assert console == []


def test_the_example_that_says_a_file(
    context: BrowserContext, site: Served, tmp_path: Path
) -> None:
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    spoken_wave(short, before=0.1, after=0.1)
    spoken_wave(long, before=0.1, after=30)
    page = context.new_page()
    console = Console(page)
    page.goto(f"{site.url}speak.html")
    words = "document.getElementById('words').textContent"
    page.click("p")  # a file that a test chooses is no click
    page.set_input_files("#file", short)
    until(page, f"{words} === 'Said.'")
    page.set_input_files("#file", long)
    until(page, f"{words} === 'Speaking.'")
    page.click("#clear")
    until(page, f"{words} === 'Interrupted.'")
    assert console == []


def test_the_component_is_written_for_the_documented_server() -> None:
    """React itself is not at hand here; the address and what is imported are looked at."""
    text = (EXAMPLES / "Avatar.jsx").read_text()
    assert f'import {{ connect }} from "{HERE}/visavis.js";' in text
    assert {m for m in re.findall(r"avatar\??\.(\w+)", text)} <= {
        "close",
        "stream",
        "addEventListener",
    }


def test_what_goes_wrong_is_said_where_an_author_looks(
    context: BrowserContext, site: Served, avatar_server: Served
) -> None:
    """Without a listener the page is empty: then the console says why."""
    for attributes, sentence in (
        ('token="wrong"', "The token is wrong"),
        ("", "The token is missing"),
        (f'token="{TOKEN}" person="nobody"', "nobody"),
    ):
        page = context.new_page()
        console = Console(page)
        page.goto(f"{site.url}empty")
        page.evaluate(
            """async ([server, attributes]) => {
              await import(new URL("visavis.js", server));
              const place = document.createElement("div");
              document.body.append(place);
              const markup = `src="${server}" ${attributes} mic`;
              place.innerHTML = `<visavis-avatar ${markup}></visavis-avatar>`;
            }""",
            [avatar_server.url, attributes],
        )
        page.wait_for_function("document.querySelector('visavis-avatar').state === 'idle'")
        for _ in range(100):
            if any(sentence in line for line in console):
                break
            page.wait_for_timeout(50)
        assert [line for line in console if sentence in line and "<visavis-avatar>" in line]
        page.close()


UNTOUCHED = """<script type="module">
import { connect } from "https://avatar.example/visavis.js";
const avatar = await connect({ src: "https://avatar.example", token: "secret" });
const tone = { samples: new Float32Array(4800).fill(0.3), sampleRate: 24000 };
avatar.speak(tone).catch((error) => console.info(`${error.name}: ${error.message}`));
const go = document.getElementById("go");
go.onclick = async () => console.info(`said ${await avatar.speak(tone)}`);
</script>"""


def test_speak_before_any_click_says_so_and_is_quiet_about_it(
    context: BrowserContext, site: Served
) -> None:
    """Playwright's evaluate() counts as a click, so this page is only listened to."""
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda entry: said.append(entry.text))

    def hears(words: str) -> None:
        for _ in range(200):
            if any(words in line for line in said):
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"{words!r} is not among {said}")

    page.goto(f"{site.url}untouched")
    hears("NotAllowedError: a browser starts sound after a click")
    page.wait_for_timeout(1500)
    assert len(said) < 8, "not a warning for every look at the voice"
    page.click("#go")
    hears("said true")


def test_what_is_cleared_while_it_is_decoded_is_never_said(
    context: BrowserContext, site: Served, avatar_server: Served
) -> None:
    page = context.new_page()
    page.goto(f"{site.url}empty")
    results = page.evaluate(
        """async (server) => {
          const { connect } = await import(new URL("visavis.js", server));
          const avatar = await connect({ src: server, token: "secret" });
          const sound = await (await fetch("hello.wav")).blob();
          const results = [];
          for (let turn = 0; turn < 2; turn += 1) {
            const saying = avatar.speak(sound);
            avatar.clear();
            results.push(await saying);
          }
          await avatar.close();
          return results;
        }""",
        avatar_server.url,
    )
    assert results == [False, False]
