"""Behaviours that the other files show on directories and SQLite, shown elsewhere once each.

On a catalog in PostgreSQL, which is what several machines share; and on S3, Google's and Azure's
servers, which have no directories, and know conditions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import resilient_store as rs
from resilient_store.protocol import suspicion
from tests.catalogued import (
    test_adopt,
    test_catalog_down,
    test_delete,
    test_freeze,
    test_identity,
    test_listing,
    test_move_copy,
    test_peers,
    test_placement,
    test_read,
    test_repair,
    test_sidecar,
    test_suspect,
    test_write,
)
from tests.catalogued.postgresql import PostgresShop
from tests.catalogued.servers import ServerShop
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, THREE, TWO
from tests.operations.test_restore_sftp import SftpShop
from tests.servers.postgres import Postgres

Behaviour = Callable[[rs.ResilientFileSystem, Any], None]
ENOUGH_TO_DOUBT = 5  # missing objects; what is shipped takes a minute to get together on servers


def over_old_objects(behaviour: Behaviour) -> Behaviour:
    """Let a store begin over objects that are on all backends, and on some."""

    def begins(_: rs.ResilientFileSystem, shop: Any) -> None:
        for name in NAMES:
            shop.put_behind(name, CAT, ONE)
        if behaviour.__module__.endswith("test_adopt"):
            shop.put_behind("gcp", DOG, TWO)
        else:
            shop.put_behind("gcp", "originals/2024/bird.jpg", TWO)
            shop.put_behind("azure", "thumbs/cat.jpg", THREE)
        behaviour(shop.open(), shop)

    return functools.update_wrapper(begins, behaviour)


def placed(behaviour: Behaviour) -> Behaviour:
    def begins(_: rs.ResilientFileSystem, shop: Any) -> None:
        behaviour(shop.open(placements=test_placement.RULES), shop)

    return functools.update_wrapper(begins, behaviour)


def opening(behaviour: Callable[..., None], **more: Any) -> Behaviour:
    """Let a behaviour open the store as it needs it."""

    def begins(_: rs.ResilientFileSystem, shop: Any) -> None:
        behaviour(shop=shop, **more)

    return functools.update_wrapper(begins, behaviour)


def emptied(behaviour: Behaviour) -> Behaviour:
    """Empty one of the buckets behind the store's back."""

    def begins(fs: rs.ResilientFileSystem, shop: Any) -> None:
        behaviour(test_identity.after_emptying(fs, shop), shop)

    return functools.update_wrapper(begins, behaviour)


def blind(behaviour: Callable[..., None], **more: Any) -> Behaviour:
    """Take the catalog away from a store that reads without one."""

    def begins(_: rs.ResilientFileSystem, shop: Any) -> None:
        behaviour(test_catalog_down.blinded(shop, "removed"), shop, **more)

    return functools.update_wrapper(begins, behaviour)


def so_much_is_missing_that_a_backend_is_suspect(fs: rs.ResilientFileSystem, shop: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suspicion, "LOSSES", ENOUGH_TO_DOUBT)
        test_suspect.so_much_is_missing(fs, shop, ENOUGH_TO_DOUBT)


def given(behaviour: Callable[..., None], **more: Any) -> Behaviour:
    """Choose one case of several."""
    return functools.update_wrapper(functools.partial(behaviour, **more), behaviour)


BEHAVIOURS: list[Behaviour] = [
    test_write.test_p1_a_receipt_says_what_the_catalog_and_the_disks_say,
    given(
        test_write.test_p1_too_few_backends_is_an_error_that_names_each_and_changes_nothing,
        earlier=ONE,
    ),
    given(test_write.test_p2_who_missed_an_overwrite_never_serves_what_it_had, away="aws"),
    test_write.test_a_second_writer_is_told_so_after_the_lock_timeout,
    test_write.test_a_new_path_is_written_at_its_own_key_and_an_overwrite_in_staging,
    test_write.test_what_is_staged_by_a_live_writer_is_not_swept,
    test_write.test_headers_are_kept_by_overwrites_and_by_repair,
    test_write.test_exclusive_creation_has_one_winner,
    test_read.test_p4_a_range_is_verified_without_the_rest_of_the_object,
    test_read.test_p4_a_stream_is_continued_by_another_backend_at_the_same_byte,
    test_read.test_p4_a_file_open_for_reading_is_pinned_to_its_version,
    test_peers.test_row_6_a_flipped_bit_is_never_handed_out,
    test_peers.test_row_8_an_outage_of_all_is_no_absence,
    given(test_delete.test_p3_whoever_was_away_brings_nothing_back, away=("aws",)),
    test_delete.test_p3_after_the_purge_adopting_brings_nothing_back,
    test_delete.test_somebody_elses_bytes_are_kept_when_their_path_is_deleted,
    given(test_move_copy.test_an_object_arrives_whole_with_its_headers, verb="cp", size=9 << 20),
    given(
        test_move_copy.test_p2_p3_one_that_was_away_shows_neither_the_old_path_nor_the_old_bytes,
        verb="mv",
        away="gcp",
    ),
    given(test_repair.test_p7_who_was_away_is_caught_up, size=9 << 20),
    given(
        test_repair.test_somebody_elses_bytes_are_kept_before_anything_goes_over_them,
        change="overwrite",
    ),
    given(
        test_freeze.test_a_frozen_store_refuses_every_change_also_of_another_process,
        change="overwrite",
    ),
    given(test_identity.test_the_wrong_catalog_is_refused_with_the_three_ways_on, call="write"),
    test_listing.test_p5_a_complete_catalog_answers_every_look_with_all_backends_gone,
    over_old_objects(test_listing.test_a_store_over_old_objects_reads_and_records_them),
    over_old_objects(test_listing.test_writes_to_an_incomplete_catalog_go_on_while_one_is_down),
    over_old_objects(test_adopt.test_everything_is_adopted_and_the_catalog_is_complete),
    over_old_objects(
        test_adopt.test_different_bytes_under_one_path_are_a_conflict_that_changes_nothing
    ),
    placed(test_placement.test_the_first_placement_that_matches_counts),
    opening(test_read.test_p5_a_preview_stands_in_flagged_with_the_reason, reason="lost"),
    opening(test_read.test_p5_a_preview_of_another_version_says_so),
    emptied(test_identity.test_an_emptied_bucket_is_unavailable_and_nothing_on_it_is_missing),
    emptied(test_identity.test_p7_rejoin_and_repair_bring_an_emptied_bucket_back),
    test_identity.test_p2_p3_a_backend_that_went_back_in_time_serves_nothing_before_it_was_verified,
    so_much_is_missing_that_a_backend_is_suspect,
    test_write.test_what_nobody_knows_any_more_is_swept_and_nothing_else,
    over_old_objects(test_listing.test_p3_a_creation_that_failed_is_not_discovered),
    blind(test_catalog_down.test_reads_go_on_unverified_where_that_was_asked_for),
    blind(test_catalog_down.test_changes_are_refused_all_the_same, call="write"),
    opening(test_catalog_down.test_the_catalog_is_asked_again_as_soon_as_it_is_back),
]
# What is staged where no metadata is kept is described beside it.
SIDECARS: list[Behaviour] = [
    test_sidecar.test_what_is_staged_says_beside_it_what_its_metadata_would,
    given(test_sidecar.test_it_goes_with_what_it_describes, end="moved"),
    test_sidecar.test_an_overwrite_on_a_quiet_key_leaves_nothing_beside_what_is_published,
]


class PlainShop(PostgresShop, test_sidecar.PlainShop):
    """Of its directories one is known only as some filesystem of fsspec's."""


def ids(behaviours: list[Behaviour]) -> list[str]:
    return [behaviour.__name__.removeprefix("test_") for behaviour in behaviours]


@pytest.fixture
def on_postgresql(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres
) -> Iterator[PostgresShop]:
    shop = getattr(request, "param", PostgresShop)(tmp_path)
    shop.keep_catalog_on(postgres)
    yield shop
    shop.close()


@pytest.fixture
def on_sftp(tmp_path: Path) -> Iterator[SftpShop]:
    shop = SftpShop(tmp_path)
    yield shop
    shop.close()


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=ids(BEHAVIOURS))
def test_on_postgresql(behaviour, on_postgresql):
    behaviour(on_postgresql.open(), on_postgresql)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=ids(BEHAVIOURS))
def test_on_the_platforms_servers(behaviour, on_servers: ServerShop):
    behaviour(on_servers.open(), on_servers)


@pytest.mark.parametrize("on_postgresql", [PlainShop], indirect=True, ids=["plain"])
@pytest.mark.parametrize("behaviour", SIDECARS, ids=ids(SIDECARS))
def test_without_metadata_on_postgresql(behaviour, on_postgresql):
    behaviour(on_postgresql.open(), on_postgresql)


@pytest.mark.parametrize("behaviour", SIDECARS, ids=ids(SIDECARS))
def test_without_metadata_on_sftps_server(behaviour, on_sftp):
    behaviour(on_sftp.open(), on_sftp)
