"""How much of its device's memory a step takes, which says how many could share one."""

from __future__ import annotations

import torch


def forget_peak(device: torch.device) -> None:
    """Measure from here on: what earlier steps of this process left unused goes back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Give the most bytes that torch kept on a GPU, used or not, and those that it has; nothing for a CPU."""
    if device.type != "cuda":
        return {}
    total = torch.cuda.get_device_properties(device).total_memory
    return {"device_memory": torch.cuda.max_memory_reserved(device), "device_memory_total": total}
