"""Who may know whom: an import between rooms runs one way only."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT = {
    "engines": set(),
    "models": set(),
    "persons": set(),
    "client_web": set(),
    "clients": set(),
    "server": {"engines", "client_web"},
    "export": {"engines", "models", "persons"},
    "finetune": {"engines", "models", "export", "persons"},
    "benchmarks": {"clients", "engines", "server", "client_web", "persons", "models"},
    "cli": {"clients", "engines", "server", "export", "finetune", "benchmarks", "persons"},
}

# Libraries a room must not import at all, not even inside a function.
FORBIDDEN = {
    "engines": {"torch", "asyncio", "aiortc", "starlette", "uvicorn", "onnx", "scipy", "mediapipe"},
    "clients": {
        "torch",
        "numba",
        "onnx",
        "onnxruntime",
        "scipy",
        "mediapipe",
        "starlette",
    },
    "server": {"torch", "numba", "onnx", "onnxruntime", "scipy", "mediapipe"},
    "cli": {"torch", "numba", "onnx", "onnxruntime", "scipy", "mediapipe", "aiortc", "av"},
    "models": {"onnxruntime", "aiortc", "mediapipe"},
    "benchmarks": {"torch", "mediapipe", "scipy"},
    "persons": {"numpy", "torch"},
}
# The modules of `engines` that run networks with torch. Nobody imports them, but one another, other
# than inside a function: an engine without torch must not notice.
WITH_TORCH = {
    f"visavis.engines.{name}"
    for name in ("torch_device", "torch_graph", "torch_operators", "torch_pictures")
}


def modules(room: str) -> Iterator[Path]:
    """All Python files of a room."""
    yield from sorted((ROOT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    """What a file of a room is imported as."""
    return ".".join(("visavis", *path.relative_to(ROOT).with_suffix("").parts))


def imports(path: Path, *, anywhere: bool = True) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports; only at its top level if so told."""
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            assert node.module
            yield node.lineno, node.module
            if node.module == "visavis":
                yield from ((node.lineno, f"visavis.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    wrong = []
    for path in modules(room):
        for line, name in imports(path):
            parts = name.split(".")
            other = parts[1] if parts[0] == "visavis" and len(parts) > 1 else None
            if other in MAY_IMPORT and other != room and other not in MAY_IMPORT[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} must not know {other}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", FORBIDDEN)
def test_rooms_stay_clear_of_libraries(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules(room)
        for line, name in imports(path)
        if name.split(".")[0] in FORBIDDEN[room]
        and not (name.split(".")[0] == "torch" and module_name(path) in WITH_TORCH)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_a_function_imports_what_needs_torch() -> None:
    for name in WITH_TORCH:
        assert (ROOT / f"{'/'.join(name.split('.')[1:])}.py").exists(), name
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for room in MAY_IMPORT
        for path in modules(room)
        if module_name(path) not in WITH_TORCH
        for line, name in imports(path, anywhere=False)
        if name in WITH_TORCH
    ]
    assert not wrong, "\n".join(wrong)


def test_an_engine_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "import visavis.engines.backends, visavis.engines.doctor, visavis.engines.verify\n"
        "import visavis.engines.onnx_cuda, visavis.engines.tensorrt_backend\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_only_the_media_room_imports_aiortc() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules("server")
        if "media" not in path.relative_to(ROOT).parts
        for line, name in imports(path)
        if name.split(".")[0] in {"aiortc", "aioice", "av"}
    ]
    assert not wrong, "\n".join(wrong)


def test_clients_need_aiortc_for_publishing_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules("clients")
        if path.relative_to(ROOT) != Path("clients/publish/peer.py")
        for line, name in imports(path)
        if name.split(".")[0] in {"aiortc", "aioice"}
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_is_under_the_rules() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


def test_the_rule_sees_a_violation(tmp_path: Path) -> None:
    """The toy that passes: a checker that sees nothing."""
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from visavis import server\n    import torch.nn\n")
    assert {name for _, name in imports(bad)} == {"visavis", "visavis.server", "torch.nn"}


def test_help_answers_without_anything_heavy() -> None:
    code = (
        "import sys; from visavis.cli.main import main\n"
        "try: main(['serve', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'onnxruntime', 'av', 'aiortc', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
