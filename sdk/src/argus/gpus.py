"""The GPUs that this process may see, and what they do. Without NVIDIA's library there are simply none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU as the driver lists it (PCI order), with its MIG instances' UUIDs."""

    index: int
    uuid: str
    mig_uuids: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Visible:
    """A GPU that the process may use; `mig_uuid` where it may use only that instance of it."""

    index: int
    uuid: str
    mig_uuid: str | None = None


def visible_gpus(setting: str | None, devices: Sequence[Device]) -> list[Visible]:
    """Which of `devices` CUDA shows to a process whose CUDA_VISIBLE_DEVICES is `setting` (None: not set).

    As CUDA reads it: indexes, UUIDs or beginnings of UUIDs (`GPU-`, `MIG-`), in that order; the list ends before the
    first entry that names no device (so "-1" and "" show none); a device named twice shows none at all.
    """
    if setting is None:
        return [Visible(device.index, device.uuid) for device in devices]
    found: list[Visible] = []
    for entry in (part.strip() for part in setting.split(",")):
        match = _find(entry, devices)
        if match is None:
            break
        if match in found:
            return []
        found.append(match)
    return found


def _find(entry: str, devices: Sequence[Device]) -> Visible | None:
    if entry.isascii() and entry.isdigit():
        index = int(entry)
        return next((Visible(d.index, d.uuid) for d in devices if d.index == index), None)
    if entry.startswith("MIG-"):
        instances = [Visible(d.index, d.uuid, mig) for d in devices for mig in d.mig_uuids if mig.startswith(entry)]
        return instances[0] if len(instances) == 1 else None
    if entry.startswith("GPU-"):
        whole = [Visible(d.index, d.uuid) for d in devices if d.uuid.startswith(entry)]
        return whole[0] if len(whole) == 1 else None
    return None


class Gpus:
    """NVML, opened once; every field is asked for on its own, so that one that a GPU cannot tell costs only itself."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._visible: list[Visible] = []
        with contextlib.suppress(Exception):
            import pynvml  # pyright: ignore[reportMissingTypeStubs]

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._visible = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), self._devices())

    @property
    def indexes(self) -> list[int]:
        return sorted({gpu.index for gpu in self._visible})

    def inventory(self) -> list[dict[str, Any]]:
        """`index, uuid, name, memory_total_bytes` of each visible GPU."""
        return [
            {
                "index": gpu.index,
                "uuid": gpu.mig_uuid or gpu.uuid,
                "name": self._ask(lambda g=gpu: _text(self._nvml.nvmlDeviceGetName(self._handle(g)))),
                "memory_total_bytes": self._ask(
                    lambda g=gpu: int(self._nvml.nvmlDeviceGetMemoryInfo(self._handle(g)).total)
                ),
            }
            for gpu in self._visible
        ]

    def sample(self) -> list[dict[str, Any]]:
        """What each visible GPU does now, in the contract's units; fields that it cannot tell are absent."""
        return [self._sample_one(gpu) for gpu in self._visible]

    def _sample_one(self, gpu: Visible) -> dict[str, Any]:
        nvml = self._nvml
        handle = self._ask(lambda: self._handle(gpu))
        said: dict[str, Any] = {"index": gpu.index, "uuid": gpu.mig_uuid or gpu.uuid}
        if handle is None:
            return said
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        said["util_pct"] = self._ask(lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu))
        said["memory_used_bytes"] = self._ask(lambda: int(memory.used))
        said["memory_total_bytes"] = self._ask(lambda: int(memory.total))
        said["temperature_c"] = self._ask(
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        )
        said["power_w"] = self._ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
        return {key: value for key, value in said.items() if value is not None}

    def _devices(self) -> list[Device]:
        devices: list[Device] = []
        for index in range(self._nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(Exception):
                handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
                devices.append(Device(index, _text(self._nvml.nvmlDeviceGetUUID(handle)), tuple(self._migs(handle))))
        return devices

    def _migs(self, handle: Any) -> list[str]:
        found: list[str] = []
        for number in range(self._ask(lambda: self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
            uuid = self._ask(
                lambda n=number: _text(
                    self._nvml.nvmlDeviceGetUUID(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, n))
                )
            )
            if uuid:
                found.append(uuid)
        return found

    def _handle(self, gpu: Visible) -> Any:
        return self._nvml.nvmlDeviceGetHandleByUUID((gpu.mig_uuid or gpu.uuid).encode())

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception:
            return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
