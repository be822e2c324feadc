"""Devices: what a device is, measured and additive devices, the distribution of synthetic devices, and the reward."""

from simmore.devices.device import (
    PAPER_DEVICES,
    TEST_DEVICES,
    AdditiveDevice,
    Device,
    TableDevice,
    all_operation_counts,
    available,
    derive_operations,
    family,
    load,
    operation_latencies,
    own_devices,
    test_devices,
    without_family,
)
from simmore.devices.synthetic import SyntheticDevices

__all__ = [
    "PAPER_DEVICES",
    "TEST_DEVICES",
    "AdditiveDevice",
    "Device",
    "SyntheticDevices",
    "TableDevice",
    "all_operation_counts",
    "available",
    "derive_operations",
    "family",
    "load",
    "operation_latencies",
    "own_devices",
    "test_devices",
    "without_family",
]
