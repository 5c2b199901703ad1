"""A stand-in for the module `tensorrt`, of version 10 or 11, that computes with ONNX Runtime.

It has what both bindings have under the names and signatures that they have, and lacks what only
one of them has: asking 11 for a flag that only 10 knows is an AttributeError, as it is there. It
fails as they do: errors in a list of the parser, None for a plan or an engine that is not to be
had, False for an address or shape that is refused, the reason in the logger alone. All of its names
were looked up in the bindings of 10.16.1.11 and 11.4.0.106; `names_of` lists them to do it again.
"""

from __future__ import annotations

import enum
import json
import sys
import types
from typing import Any

import numpy as np
import onnxruntime

from visavis.engines.device import DeviceArray, view_of_host
from visavis.engines.onnx_model import UINT8, read_model

MAGIC = b"fake plan\n"


class _Severity(enum.IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = _Severity

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class _TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class _MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class _BuilderFlag10(enum.Enum):
    FP16, INT8, TF32 = range(3)


class _BuilderFlag11(enum.Enum):
    TF32 = 0


class _Creation10(enum.IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED = range(2)


class _Creation11(enum.IntEnum):
    STRONGLY_TYPED = 1


class _HostMemory:
    """Has the buffer protocol there; `bytes` of it is its content."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


class _ParserError:
    def __init__(self, operator: str, words: str) -> None:
        self._operator, self._words = operator, words

    def desc(self) -> str:
        return self._words

    def node_operator(self) -> str:
        return self._operator


class _Tensor:
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape = name, shape


class _Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = b""
        self.inputs: list[_Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> _Tensor:
        return self.inputs[index]


class _OnnxParser:
    def __init__(self, network: _Network, logger: ILogger) -> None:
        assert logger.ready, "the base class was not initialised"
        self._network = network
        self._errors: list[_ParserError] = []

    def parse(self, model: Any, path: str | None = None) -> bool:
        try:
            session = onnxruntime.InferenceSession(bytes(model), providers=["CPUExecutionProvider"])
        except Exception:
            self._errors = [_ParserError("", "Failed to parse the ONNX model.")]
            return False
        known = read_model("model", bytes(model))
        ends = set(known.outputs)
        for node in known.nodes:
            if node.operator in ("QuantizeLinear", "DequantizeLinear"):
                words = "The QuantizeLinear node's zero point has an unsupported data type: UINT8."
                self._errors = [_ParserError(node.operator, words)]
            elif node.attributes.get("to") == UINT8 and not set(node.outputs) <= ends:
                self._errors = [_ParserError("Cast", "UINT8 is supported at the edges only.")]
        self._network.model = bytes(model)
        self._network.inputs = [
            _Tensor(item.name, (-1, *item.shape[1:])) for item in session.get_inputs()
        ]
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> _ParserError:
        return self._errors[index]


class _TimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> _HostMemory:
        return _HostMemory(self.data + b"+")


class _Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, Any, Any]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes[input] = (tuple(min), tuple(opt), tuple(max))


class _Config:
    def __init__(self, flags: type[enum.Enum]) -> None:
        self.flags = {flags["TF32"]}
        self.builder_optimization_level = 3
        self.profiles: list[_Profile] = []
        self.pools: dict[Any, int] = {}
        self._cache: _TimingCache | None = None

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> _TimingCache | None:
        foreign = serialized_timing_cache.startswith(b"foreign")
        return None if foreign else _TimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return not cache.data.startswith(b"other GPU")

    def get_timing_cache(self) -> _TimingCache | None:
        return self._cache

    def add_optimization_profile(self, profile: _Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, most = self._engine.bounds[name]
        if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            self._engine.complain("Error Code 3: API Usage Error (the shape is not in profile 0)")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory != 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine = self._engine
        engine.owner.streams.append(stream_handle)
        feeds = {
            name: view_of_host(DeviceArray(self._addresses[name], shape, np.dtype(np.float32)))
            for name, shape in self._shapes.items()
        }
        made = engine.session.run(None, feeds)
        for item, array in zip(engine.session.get_outputs(), made, strict=True):
            where = DeviceArray(self._addresses[item.name], array.shape, array.dtype)
            view_of_host(where)[...] = array
        return True


class _Engine:
    def __init__(self, owner: Any, head: dict[str, Any], model: bytes, logger: ILogger) -> None:
        self.owner, self._logger = owner, logger
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.bounds = {name: (low, high) for name, (low, _, high) in head["shapes"].items()}
        self._modes = {item.name: _TensorIOMode.INPUT for item in self.session.get_inputs()}
        self._modes |= {item.name: _TensorIOMode.OUTPUT for item in self.session.get_outputs()}
        self._items = {
            item.name: item for item in (*self.session.get_inputs(), *self.session.get_outputs())
        }

    def complain(self, words: str) -> None:
        self._logger.log(_Severity.ERROR, words)

    @property
    def num_io_tensors(self) -> int:
        return len(self._items)

    def get_tensor_name(self, index: int) -> str:
        return list(self._items)[index]

    def get_tensor_mode(self, name: str) -> _TensorIOMode:
        return self._modes[name]

    def get_tensor_dtype(self, name: str) -> str:
        return {"tensor(float)": "FLOAT", "tensor(uint8)": "UINT8"}[self._items[name].type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self._items[name].shape[1:])

    def create_execution_context(self) -> _Context | None:
        if self.owner.no_context:
            self.complain("Error Code 2: OutOfMemory (Requested size was 4096 bytes.)")
            return None
        return _Context(self)


class FakeTensorrt(types.ModuleType):
    """The module.

    Attributes:
        out_of_memory, no_context: let building, and making contexts, fail.
        builds: how many were made.
        configs, networks: of the builds.
        streams: on which runs were put.
    """

    def __init__(self, version: str = "11.4.0.106") -> None:
        super().__init__("tensorrt")
        self.__version__ = version
        old = version.startswith("10.")
        self.out_of_memory = self.no_context = False
        self.builds = 0
        self.configs: list[_Config] = []
        self.networks: list[_Network] = []
        self.streams: list[int] = []
        self.ILogger = ILogger
        self.TensorIOMode = _TensorIOMode
        self.MemoryPoolType = _MemoryPoolType
        self.BuilderFlag: Any = _BuilderFlag10 if old else _BuilderFlag11
        self.NetworkDefinitionCreationFlag: Any = _Creation10 if old else _Creation11
        self.OnnxParser = _OnnxParser
        owner = self

        class Builder:
            def __init__(self, logger: ILogger) -> None:
                self._logger = logger

            def create_network(self, flags: int = 0) -> _Network:
                owner.networks.append(_Network(flags))
                return owner.networks[-1]

            def create_builder_config(self) -> _Config:
                owner.configs.append(_Config(owner.BuilderFlag))
                return owner.configs[-1]

            def create_optimization_profile(self) -> _Profile:
                return _Profile()

            def build_serialized_network(self, network: Any, config: Any) -> _HostMemory | None:
                owner.builds += 1
                if owner.out_of_memory:
                    words = "Error Code 10: Internal Error (Could not find any implementation)"
                    self._logger.log(_Severity.ERROR, words)
                    return None
                head = {"version": owner.__version__, "shapes": config.profiles[0].shapes}
                return _HostMemory(MAGIC + json.dumps(head).encode() + b"\n" + network.model)

        class Runtime:
            def __init__(self, logger: ILogger) -> None:
                self._logger = logger

            def deserialize_cuda_engine(self, serialized_engine: Any) -> _Engine | None:
                data = bytes(serialized_engine)
                line, _, model = data.removeprefix(MAGIC).partition(b"\n")
                if not data.startswith(MAGIC):
                    words = "Error Code 1: Serialization (magicTag does not match)"
                    self._logger.log(_Severity.ERROR, words)
                    return None
                head = json.loads(line)
                if head["version"] != owner.__version__:
                    words = "Error Code 1: Serialization (Version tag does not match)"
                    self._logger.log(_Severity.ERROR, words)
                    return None
                return _Engine(owner, head, model, self._logger)

        self.Builder, self.Runtime = Builder, Runtime

    def nptype(self, kind: str) -> Any:
        return {"FLOAT": np.float32, "UINT8": np.uint8}[kind]


# What the classes are called where they come from.
_REAL = {
    "_OnnxParser": "OnnxParser",
    "_ParserError": "ParserError",
    "_Tensor": "ITensor",
    "_Network": "INetworkDefinition",
    "_Profile": "IOptimizationProfile",
    "_Config": "IBuilderConfig",
    "_TimingCache": "ITimingCache",
    "_Context": "IExecutionContext",
    "_Engine": "ICudaEngine",
}


def names_of(version: str) -> list[str]:
    """Every dotted name that the stand-in has and TensorRT must have."""
    fake = FakeTensorrt(version)
    ours = {"model", "flags_", "shapes", "profiles", "pools", "bounds", "session", "owner", "data"}
    ours |= {"complain", "inputs", "ready"}
    names = ["nptype", "ILogger.log", "ILogger.Severity.ERROR", "ILogger.Severity.INTERNAL_ERROR"]
    for flag in ("BuilderFlag", "NetworkDefinitionCreationFlag", "TensorIOMode", "MemoryPoolType"):
        names += [f"{flag}.{item.name}" for item in getattr(fake, flag)]
    for name in ("Builder", "Runtime"):
        names += [f"{name}.{key}" for key in vars(getattr(fake, name)) if key[0] != "_"]
    for name, real in _REAL.items():
        names += [f"{real}.{key}" for key in vars(globals()[name]) if key[0] != "_"]
    attributes = ["INetworkDefinition.num_inputs", "ITensor.name", "ITensor.shape"]
    attributes += ["IBuilderConfig.builder_optimization_level"]
    return [name for name in names + attributes if name.split(".")[-1] not in ours]


if __name__ == "__main__":
    # With the bindings on the path; they import over empty libraries of the names that they need.
    real = __import__("tensorrt_bindings")
    for dotted in names_of(real.__version__):
        item: Any = real
        for part in dotted.split("."):
            item = getattr(item, part, None)
        print(f"{'ok' if item is not None else 'MISSING'} {dotted}")
    sys.exit(0)
