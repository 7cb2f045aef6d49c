"""Twenty thousand calls leave nothing behind."""

import gc
import resource
import tracemalloc

import pytest

from careforall import CareForAllError, Money

AMOUNT = Money(2500, "EUR")


def resident_kib():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def test_calls_do_not_leak(memory):
    campaign = memory.create_campaign("Clean water", "EUR")
    pledge = memory.create_pledge(campaign.id, AMOUNT, key="k", donor_name="Ada")

    def calls(count):
        for _ in range(count):
            memory.campaign(campaign.id)
            memory.pledge(pledge.id)
            memory.totals(campaign.id)
            memory.events(limit=5)
            str(AMOUNT + AMOUNT)
            with pytest.raises(CareForAllError):
                memory.campaign("cmp_wrong")
            with pytest.raises(CareForAllError):
                memory.create_campaign("with a \0 inside", "EUR")

    calls(300)
    gc.collect()
    tracemalloc.start()
    before, resident = tracemalloc.take_snapshot(), resident_kib()
    calls(3000)
    gc.collect()
    grown = sum(entry.size_diff for entry in tracemalloc.take_snapshot().compare_to(before, "filename")
                if "tracemalloc" not in entry.traceback[0].filename)
    tracemalloc.stop()
    assert grown < 200_000
    assert resident_kib() - resident < 16_384
