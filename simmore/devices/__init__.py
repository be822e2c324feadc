"""Devices: what a device is, the devices known by name, synthetic and simulated devices, and the reward."""

from simmore.devices.device import (
    AdditiveDevice,
    Device,
    TableDevice,
    all_operation_counts,
    measured_cells,
    operation_latencies,
    whole_table,
)
from simmore.devices.groups import (
    CLASSES,
    DESIGN_DEVICES,
    PAPER_DEVICES,
    TEST_DEVICES,
    family,
    hardware_class,
    without_family,
)
from simmore.devices.known import NAMES, available, benchmarked_devices, from_csv, load, test_devices
from simmore.devices.reward import bounds, inverse_latency, normalised_regret, optimum, random_search_reward, reward
from simmore.devices.simulated import Simulated
from simmore.devices.synthetic import SyntheticDevices

__all__ = [
    "CLASSES",
    "DESIGN_DEVICES",
    "NAMES",
    "PAPER_DEVICES",
    "TEST_DEVICES",
    "AdditiveDevice",
    "Device",
    "Simulated",
    "SyntheticDevices",
    "TableDevice",
    "all_operation_counts",
    "available",
    "benchmarked_devices",
    "bounds",
    "family",
    "from_csv",
    "hardware_class",
    "inverse_latency",
    "load",
    "measured_cells",
    "normalised_regret",
    "operation_latencies",
    "optimum",
    "random_search_reward",
    "reward",
    "test_devices",
    "whole_table",
    "without_family",
]
