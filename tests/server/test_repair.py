"""Which lost packets are sent again."""

from __future__ import annotations

from visavis.server.rate.repair import BURST_SECONDS, SHARE, RepairBudget

PACKET = 1000


def test_usual_losses_are_all_repaired() -> None:
    """A tenth of 1.2 Mbit/s is lost, and asked for 50 ms later."""
    budget = RepairBudget()
    for number in range(1500):
        budget.sent(number, number / 150)
        if number % 10 == 0:
            assert budget.allows(number, PACKET, number / 150 + 0.05)
    assert budget.refused == 0


def test_a_storm_of_requests_gets_its_share_of_the_rate() -> None:
    """280 requests a second at a target of 150 kbit/s, for ten seconds."""
    budget = RepairBudget()
    budget.rate = 150_000
    sent = sum(budget.allows(number, PACKET, number / 280) for number in range(2800))
    assert sent * PACKET * 8 / 10 <= SHARE * 150_000 * (1 + BURST_SECONDS / 10)
    assert sent * PACKET * 8 / 10 >= 0.9 * SHARE * 150_000
    assert budget.refused == 2800 - sent


def test_what_came_before_a_key_frame_is_not_sent_again() -> None:
    budget = RepairBudget()
    first = 65_530  # the numbers wrap on the way
    for number in range(5):
        budget.sent(first + number, 0.04 * number)
    budget.key_frame(0.2)
    assert budget.allows(first, PACKET, 0.25)  # it has not left yet
    for number in range(5, 20):
        budget.sent((first + number) & 0xFFFF, 0.04 * number)
    assert not budget.allows(first + 4, PACKET, 1.0)
    assert budget.allows((first + 5) & 0xFFFF, PACKET, 1.0)
    assert budget.allows((first + 10) & 0xFFFF, PACKET, 1.0)
    assert not budget.wants_key_frame(first + 4, 1.0)


def test_a_repair_that_is_refused_is_worth_one_key_frame_a_second() -> None:
    budget = RepairBudget()
    assert budget.wants_key_frame(7, 5.0)
    assert not budget.wants_key_frame(8, 5.9)
    assert budget.wants_key_frame(9, 6.1)
