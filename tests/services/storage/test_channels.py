"""Channels and notices as records: secrets, who chose what, once for each channel and event."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from geoinfra.errors import NotFound
from geoinfra.storage import Store, channels, schema
from geoinfra.storage.outbox import emit, events_after, get_event, settled_event
from geoinfra.storage.records import now, timestamp

OURS, OTHERS = "10000009", "10000017"


@pytest.fixture
def filled(store: Store) -> Store:
    with store.begin() as tx:
        for cvr in (OURS, OTHERS):
            tx.execute(
                sa.insert(schema.organisations).values(cvr=cvr, name=cvr, contact="{}", created_at=now())
            )
        tx.commit()
    return store


def add(
    store: Store,
    kind: str = "webhook",
    organisation: str = OURS,
    events: tuple[str, ...] = ("package.ready",),
) -> tuple[channels.Channel, str]:
    with store.begin() as tx:
        channel, secret = channels.add_channel(tx, organisation, kind, "https://example.dk/", events)
        tx.commit()
    return channel, secret


def event(store: Store, name: str = "package.ready") -> int:
    with store.begin() as tx:
        emit(tx, name, "2026-000001", {})
        event_id = tx.connection.scalar(sa.select(sa.func.max(schema.outbox.c.event_id)))
        tx.commit()
    return int(event_id)


def test_a_webhook_has_a_secret_of_256_bits_and_mail_has_none(filled: Store) -> None:
    channel, secret = add(filled)
    assert secret.startswith("whsec_")
    with filled.read() as connection:
        keys = channels.signing_keys(connection, channel.channel_id)
    assert keys == (base64.b64decode(secret.removeprefix("whsec_")),)
    assert len(keys[0]) == 32
    assert add(filled, "mail")[1] == ""


def test_a_renewed_secret_signs_beside_the_one_before_for_a_day(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, first = add(filled)
    with filled.begin() as tx:
        second = channels.rotate_secret(tx, channel.channel_id)
        tx.commit()
    keys = tuple(base64.b64decode(text.removeprefix("whsec_")) for text in (second, first))
    with filled.read() as connection:
        assert channels.signing_keys(connection, channel.channel_id) == keys
        tomorrow = timestamp(datetime.now(UTC) + channels.OVERLAP + timedelta(seconds=1))
        monkeypatch.setattr(channels, "now", lambda: tomorrow)
        assert channels.signing_keys(connection, channel.channel_id) == keys[:1]


def test_the_secret_before_the_last_two_signs_no_more(filled: Store) -> None:
    channel, first = add(filled)
    with filled.begin() as tx:
        channels.rotate_secret(tx, channel.channel_id)
        channels.rotate_secret(tx, channel.channel_id)
        tx.commit()
    with filled.read() as connection:
        keys = channels.signing_keys(connection, channel.channel_id)
    assert len(keys) == 2
    assert base64.b64decode(first.removeprefix("whsec_")) not in keys


def test_only_channels_in_use_that_chose_the_event_and_are_old_enough_are_told(filled: Store) -> None:
    wanted, _ = add(filled)
    add(filled, events=("enquiry.filed",))
    add(filled, organisation=OTHERS)
    disabled, _ = add(filled)
    moment = now()
    young = "2099-01-01T00:00:00.000Z"
    late, _ = add(filled)
    with filled.begin() as tx:
        assert channels.disable_channel(tx, disabled.channel_id)
        assert not channels.disable_channel(tx, disabled.channel_id)
        ours = schema.channels.c.channel_id == late.channel_id
        tx.execute(sa.update(schema.channels).where(ours).values(created_at=young))
        tx.commit()
    with filled.read() as connection:
        assert channels.choosing(connection, [OURS], "package.ready", moment) == [wanted]
        assert len(channels.list_channels(connection, OURS)) == 4
        assert len(channels.list_channels(connection)) == 5


@pytest.mark.parametrize("channel_id", ["nothing", "a\0b", "", "æ", "' OR 1=1"])
def test_what_is_no_channel_is_not_found(filled: Store, channel_id: str) -> None:
    with filled.read() as connection, pytest.raises(NotFound):
        channels.get_channel(connection, channel_id)


def test_the_channel_of_another_organisation_is_not_found(filled: Store) -> None:
    channel, _ = add(filled)
    with filled.read() as connection:
        assert channels.get_channel(connection, channel.channel_id, OURS) == channel
        with pytest.raises(NotFound):
            channels.get_channel(connection, channel.channel_id, OTHERS)


def test_a_notice_of_a_channel_and_event_is_recorded_once_by_eight_at_a_time(filled: Store) -> None:
    channel, _ = add(filled)
    event_id = event(filled)

    def record(_: int) -> list[int]:
        with filled.begin() as tx:
            recorded = channels.record_notices(tx, event_id, [channel.channel_id])
            tx.commit()
        return recorded

    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(record, range(8)))
    assert sum(map(len, recorded)) == 1
    with filled.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.notices)) == 1


def test_failures_are_counted_since_the_last_success(filled: Store) -> None:
    channel, _ = add(filled)
    for outcome in ("failed", "sent", "failed", "failed"):
        event_id = event(filled)
        with filled.begin() as tx:
            (notice,) = channels.record_notices(tx, event_id, [channel.channel_id])
            tx.commit()
        with filled.begin() as tx:
            if outcome == "sent":
                channels.mark_sent(tx, notice)
            else:
                channels.mark_failed(tx, notice, "No.")
            tx.commit()
    with filled.read() as connection:
        newest = channels.newest_notices(connection, [channel.channel_id])[channel.channel_id]
        assert (newest.state, newest.attempts, newest.error) == ("failed", 1, "No.")
        assert channels.failures_in_a_row(connection, channel.channel_id) == 2


def test_what_has_ended_does_not_change_any_more(filled: Store) -> None:
    channel, _ = add(filled)
    event_id = event(filled)
    with filled.begin() as tx:
        (notice,) = channels.record_notices(tx, event_id, [channel.channel_id])
        channels.mark_sent(tx, notice)
        channels.mark_failed(tx, notice, "Too late.")
        channels.put_off(tx, notice, datetime.now(UTC), "Too late.")
        found = channels.get_notice(tx.connection, notice)
        tx.commit()
    assert found is not None
    assert (found.state, found.attempts, found.error) == ("sent", 1, "")


def test_a_removed_channel_takes_its_notices_along(filled: Store) -> None:
    channel, _ = add(filled)
    event_id = event(filled)
    with filled.begin() as tx:
        (notice,) = channels.record_notices(tx, event_id, [channel.channel_id])
        tx.commit()
    with filled.begin() as tx:
        channels.remove_channel(tx, channel.channel_id)
        tx.commit()
    with filled.read() as connection:
        assert channels.get_notice(connection, notice) is None
        assert channels.list_channels(connection) == []


# ------------------------------------------------------------------------------ events in order of number


def test_events_are_read_in_pages_by_their_number(filled: Store) -> None:
    ids = [event(filled) for _ in range(5)]
    with filled.read() as connection:
        assert [e.event_id for e in events_after(connection, ids[0], ids[3], 2)] == ids[1:3]
        assert [e.event_id for e in events_after(connection, ids[2], ids[3], 9)] == ids[3:4]
        assert events_after(connection, 10**17, ids[3], 9) == []
        assert get_event(connection, ids[1]).event == "package.ready"
        with pytest.raises(NotFound):
            get_event(connection, 10**9)
    assert settled_event(filled.records) == ids[-1]


def test_no_number_is_settled_while_an_earlier_one_is_under_way(filled: Store, engine_name: str) -> None:
    """PostgreSQL commits a later number first; who has passed it would never see the earlier one."""
    first = event(filled)
    with filled.begin() as slow:
        emit(slow, "package.ready", "2026-000001", {})
        if engine_name == "postgres":
            second = event(filled)
            assert second == first + 2
            assert settled_event(filled.records, 0.05) is None
        else:
            assert settled_event(filled.records) == first  # writers follow each other
        slow.commit()
    assert settled_event(filled.records) == (first + 2 if engine_name == "postgres" else first + 1)


def test_a_number_that_was_rolled_back_holds_up_nobody(filled: Store) -> None:
    event(filled)
    with filled.begin() as tx:
        emit(tx, "package.ready", "2026-000001", {})
    last = event(filled)
    assert settled_event(filled.records) == last
