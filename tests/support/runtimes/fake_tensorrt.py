"""TensorRT in name only: what both 10 and 11 have of what posetalk calls, and nothing else.

Names are those of the real bindings 10.16 and 11.4.  An engine is its graph, after a line with the
version and the profiles.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any


class ILogger:
    ERROR, INTERNAL_ERROR = "error", "internal error"


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, ...]] = {}

    def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
        self.shapes[name] = (least, usual, most)


class Config:
    """No `set_flag`: 11 has no flag that chooses a precision."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.flags = {"tf32"}  # the library's default

    def clear_flag(self, flag: str) -> None:
        self.flags.remove(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1


class FakeTensorrt:
    """A module of the given version.

    Attributes:
        flags: of the networks that were created.
        graphs: that were parsed, with the path that their weights are reckoned from.
        profiles: of the engines that were built.
        broken: what the parser says, if it is to fail.
    """

    ILogger = ILogger

    def __init__(self, version: str) -> None:
        self.__name__, self.__version__ = "tensorrt", version
        self.flags: list[int] = []
        self.graphs: list[tuple[bytes, str | None]] = []
        self.profiles: list[Profile] = []
        self.broken = ""
        fake = self

        class Builder:
            def __init__(self, log: Any) -> None:
                pass

            def create_network(self, flags: int = 0) -> Any:
                fake.flags.append(flags)
                return SimpleNamespace()

            def create_builder_config(self) -> Config:
                return Config()

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: Any, config: Config) -> bytearray:
                assert not config.flags, "fp32 shall be fp32"
                fake.profiles += config.profiles
                shapes = json.dumps([profile.shapes for profile in config.profiles])
                return bytearray(f"{version} {shapes}\n".encode() + network.graph)

        class OnnxParser:
            def __init__(self, network: Any, log: Any) -> None:
                self.network = network

            def parse(self, model: bytes, path: str | None = None) -> bool:
                fake.graphs.append((model, path))
                self.network.graph = model
                return not fake.broken

            def get_error(self, index: int) -> Any:
                return SimpleNamespace(desc=lambda: fake.broken)

        self.Builder, self.OnnxParser = Builder, OnnxParser
        self.BuilderFlag = SimpleNamespace(TF32="tf32")
        self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="by caller")
        self.TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
        # 11 still has the name, as deprecated, and ignores it.
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)


class FakeTensorrtRtx(FakeTensorrt):
    """TensorRT for RTX, which captures graphs by itself."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.__name__ = "tensorrt_rtx"
        self.CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph")
