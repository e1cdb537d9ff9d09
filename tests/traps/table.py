"""Bugs that others shipped, and the tests that each one has here: `file::name` below `tests/`.

Who makes derivatives is the application: those of its images alone have none.
"""

from __future__ import annotations

OUTAGE = "traps/test_outage_is_no_answer.py::"
NAMES = "traps/test_names.py::"
FORKS = "traps/test_forks_and_loops.py::"
WRITERS = "traps/test_writers.py::"
SECRETS = "traps/test_secrets.py::"
TRANSFERS = "traps/test_transfers.py::"
DISKS = "traps/test_disks.py::"
SURFACE = "filesystem/test_surface.py::"
BREAKER = "laws/test_breaker.py::"
READING = "laws/test_read_machine.py::"
HEALTH = "simulation/test_health.py::"
LOAD = "simulation/test_load.py::"
FAILURES = "simulation/test_failures.py::"
RESOURCES = "resources/test_bounds.py::"
S3 = "traps/test_s3.py::"
GCS = "traps/test_gcs.py::"
AZURE = "traps/test_azure.py::"
PLATFORMS = "traps/test_platforms.py::"
SUITE = "conformance/test_fsspec_suites.py::"
PEERS = "catalogued/test_peers.py::"
WRITE = "catalogued/test_write.py::"
READ = "catalogued/test_read.py::"
DELETE = "catalogued/test_delete.py::"
REPAIR = "catalogued/test_repair.py::"
SUSPECT = "catalogued/test_suspect.py::"
IDENTITY = "catalogued/test_identity.py::"
SQLITE = "catalog/test_sqlite.py::"
POSTGRES = "catalog/test_postgres.py::"
PROCESSES = "catalog/test_processes.py::"
REPLICAS = "catalogued/test_replicas.py::"
PACE = "laws/test_pace.py::"
KILLED = "crashes/test_sigkill.py::"

Row = tuple[int, str, tuple[str, ...]]

TRAPS: tuple[Row, ...] = (
    # from fsspec's core
    (
        1,
        "a cached listing hides what others created",
        (OUTAGE + "test_what_another_tool_creates_is_seen_after_the_prefix_was_listed",),
    ),
    (
        2,
        "a change that the caches do not hear of",
        (OUTAGE + "test_every_change_is_seen_at_once_by_what_was_asked_before",),
    ),
    (
        3,
        "a wrapper that forgets to pass a method on",
        (
            SURFACE + "test_every_public_method_is_ours_or_inherited_on_purpose",
            SURFACE + "test_every_coroutine_of_fsspec_is_ours_or_built_on_ours",
        ),
    ),
    (4, "a plugin that needs its listings cache", (PLATFORMS + "test_no_listing_is_remembered",)),
    (
        5,
        "exists() says no whatever went wrong",
        (
            OUTAGE + "test_p5_no_call_takes_an_outage_for_an_answer",
            OUTAGE + "test_p5_one_that_cannot_say_is_enough_to_be_uncertain",
        ),
    ),
    (
        6,
        "a name taken for a pattern",
        (
            NAMES + "test_a_name_is_never_read_as_a_pattern",
            NAMES + "test_a_folder_with_signs_is_copied_and_removed_as_it_is_written",
            NAMES + "test_a_pattern_is_still_a_pattern_where_no_such_name_is",
        ),
    ),
    (
        7,
        "a forked child that waits for ever",
        (
            FORKS + "test_a_store_in_use_works_on_in_a_forked_child",
            FORKS + "test_children_may_be_forked_while_threads_read_and_write",
            FORKS + "test_a_child_from_a_pool_of_forked_processes_works",
            FORKS + "test_a_file_open_for_writing_is_its_parents_to_finish",
            FORKS + "test_a_file_open_for_reading_can_be_read_in_a_child",
        ),
    ),
    (
        8,
        "a flag left set by a failed transaction",
        (WRITERS + "test_transactions_are_refused_before_anything_is_written",),
    ),
    (
        9,
        "transactions that cannot read or nest",
        (WRITERS + "test_transactions_are_refused_before_anything_is_written",),
    ),
    (
        10,
        "a dead writer's half is published",
        (
            WRITERS + "test_p1_a_block_that_raises_publishes_nothing",
            WRITERS + "test_p1_a_file_that_is_dropped_publishes_nothing",
            WRITERS + "test_p1_a_wrapper_whose_block_raises_publishes_nothing",
            WRITERS + "test_p1_a_wrapper_that_is_dropped_publishes_nothing",
            WRITERS + "test_p1_closing_while_an_error_is_handled_is_never_a_silent_loss",
        ),
    ),
    (
        11,
        "a second close that sends again",
        (WRITERS + "test_a_second_close_after_a_failure_sends_nothing",),
    ),
    (
        12,
        "the cleaning-up hides the error",
        (
            WRITERS + "test_the_first_error_is_the_one_that_is_told_with_backend_and_path",
            WRITERS + "test_the_error_of_the_block_is_the_error_that_is_heard",
        ),
    ),
    (
        13,
        "one cached instance with two owners",
        (
            FORKS + "test_equal_arguments_make_two_stores_in_any_thread",
            FORKS + "test_a_sick_backend_of_one_store_is_well_in_another",
            SECRETS + "test_stores_that_differ_only_in_a_secret_share_nothing",
        ),
    ),
    (
        14,
        "a race to be built after a fork",
        (FORKS + "test_many_threads_of_a_child_assemble_one_store",),
    ),
    (
        15,
        "two users on one connection",
        (SECRETS + "test_each_backend_comes_with_its_own_credential",),
    ),
    (
        16,
        "a password in what is serialised or printed",
        (
            SECRETS + "test_no_credential_is_shown_by_anything_that_is_printed",
            SECRETS + "test_a_configuration_that_is_refused_shows_no_credential",
            SECRETS + "test_pickles_carry_credentials_and_work",
        ),
    ),
    (
        17,
        "bulk reads that drop or mix in errors",
        (OUTAGE + "test_bulk_reads_omit_what_is_absent_and_never_what_is_unreachable",),
    ),
    (
        18,
        "a failed download over a good file",
        (
            TRANSFERS + "test_a_download_that_fails_leaves_the_earlier_file_alone",
            TRANSFERS + "test_a_download_to_a_full_disk_leaves_the_earlier_file_alone",
        ),
    ),
    (
        19,
        "the base class swallows what we raise",
        (
            OUTAGE + "test_p5_no_call_takes_an_outage_for_an_answer",
            OUTAGE + "test_p5_a_listing_is_whole_or_refused_or_says_who_is_missing",
            OUTAGE + "test_the_async_calls_say_the_same",
        ),
    ),
    (
        20,
        "an error object among the ranges",
        (OUTAGE + "test_ranges_raise_by_default_instead_of_handing_out_errors",),
    ),
    (
        21,
        "lost, and filled in with a blank upstairs",
        (
            OUTAGE + "test_p5_zarr_fills_in_only_what_was_never_written",
            OUTAGE + "test_p5_a_mapping_says_key_error_only_for_what_is_absent",
            OUTAGE + "test_p5_a_table_of_several_files_is_whole_or_refused",
            OUTAGE + "test_none_of_our_errors_is_taken_for_never_written",
        ),
    ),
    (
        22,
        "a move that stops half-way, or onto itself",
        (
            WRITERS + "test_p5_a_move_that_fails_leaves_the_object_under_one_name_at_least",
            WRITERS + "test_a_move_onto_or_into_itself_loses_nothing",
            WRITERS + "test_a_move_takes_away_what_it_copied_and_nothing_else",
        ),
    ),
    (
        23,
        "a bulk removal that hides what failed",
        (WRITERS + "test_a_removal_of_many_names_those_that_failed_and_finishes_the_others",),
    ),
    (
        24,
        "a time-out that stops waiting only",
        (
            FORKS + "test_a_write_given_up_says_that_it_may_happen_and_does_not_publish_later",
            FAILURES + "test_an_overwrite_is_half_there_and_nobody_is_told",
        ),
    ),
    (
        25,
        "blocking calls inside an event loop",
        (
            FORKS + "test_the_blocking_calls_work_inside_a_running_loop",
            FORKS + "test_a_blocking_call_on_the_stores_own_loop_is_refused_at_once",
            FORKS + "test_a_callback_and_a_hook_may_not_hang_the_store",
        ),
    ),
    (
        26,
        "progress that lies",
        (
            TRANSFERS + "test_progress_grows_and_ends_at_the_size",
            TRANSFERS + "test_progress_counts_no_byte_twice_when_a_backend_is_replaced",
            TRANSFERS + "test_a_callback_that_raises_leaves_nothing_visible",
        ),
    ),
    (
        27,
        "sessions that outlive their loop",
        (
            FORKS + "test_a_script_that_makes_many_stores_ends_cleanly",
            FORKS + "test_an_asynchronous_store_serves_one_loop_after_another",
        ),
    ),
    # S3
    (
        28,
        "denied means absent, or not",
        (
            S3 + "test_p5_a_denied_absent_key_is_denied_and_the_missing_right_is_named",
            S3 + "test_denied_for_everything_says_credentials",
            S3 + "test_a_store_that_only_reads_needs_the_right_to_get_alone",
        ),
    ),
    (29, "looking creates a bucket", (S3 + "test_nothing_ever_creates_a_bucket",)),
    (
        30,
        "throttling told by its wording",
        (
            "laws/test_s3_table.py::test_what_s3_answers_means_one_thing",
            "laws/test_s3_table.py::test_what_its_client_raises_means_one_thing",
            "laws/test_s3_table.py::test_p5_absence_is_never_a_guess_and_no_answer_is_shown",
        ),
    ),
    (
        31,
        "slow down, answered with faster",
        (
            S3 + "test_p6_slow_down_is_not_answered_with_more",
            LOAD + "test_load_that_does_not_stop_keeps_a_backend_down_that_is_well_again",
        ),
    ),
    (
        32,
        "retries times retries",
        (
            S3 + "test_p6_a_read_sends_no_more_requests_than_it_says",
            "backends/test_gcs.py::test_nothing_is_sent_twice",
            "backends/test_azure.py::test_nothing_is_sent_twice",
        ),
    ),
    (
        33,
        "success first, the error in the body",
        (S3 + "test_p1_an_error_in_the_body_of_a_200_is_an_error",),
    ),
    (
        34,
        "parts that nobody aborts",
        (
            S3 + "test_parts_of_a_write_that_raised_are_aborted",
            S3 + "test_parts_of_a_write_that_timed_out_are_aborted",
            S3 + "test_parts_of_a_cancelled_write_are_aborted",
            "backends/test_s3.py::test_an_upload_that_nobody_finished_is_aborted_by_a_sweep",
        ),
    ),
    (
        35,
        "zeros for missing bytes",
        (
            S3 + "test_p4_a_range_that_is_cut_short_is_no_zeros",
            S3 + "test_p2_two_versions_are_never_mixed",
        ),
    ),
    (
        36,
        "a bulk deletion that hides refusals",
        (S3 + "test_a_bulk_deletion_names_exactly_what_it_could_not_delete",),
    ),
    (
        37,
        "an ETag that is no checksum",
        ("backends/test_s3.py::test_a_tag_that_is_no_digest_of_the_bytes_is_not_taken_for_one",),
    ),
    (
        38,
        "old versions that come back",
        (S3 + "test_p3_what_was_deleted_in_a_bucket_with_versions_stays_deleted",),
    ),
    (
        39,
        "the full size and not the bytes",
        (S3 + "test_p1_an_upload_that_lacks_a_part_is_not_acknowledged",),
    ),
    # Google Cloud Storage
    (
        40,
        "a resumed upload one byte off",
        (
            GCS + "test_what_a_server_keeps_of_a_chunk_is_where_the_next_one_begins",
            GCS + "test_a_server_that_contradicts_itself_ends_the_upload",
        ),
    ),
    (41, "a chunk appended twice", (GCS + "test_a_chunk_whose_answer_was_lost_is_not_sent_again",)),
    (
        42,
        "a retry without a body",
        (GCS + "test_a_body_that_was_read_is_not_followed_by_an_empty_one",),
    ),
    (
        43,
        "chunks of the wrong size",
        (GCS + "test_pieces_of_every_size_make_chunks_that_google_takes",),
    ),
    (44, "a download that ends early", (OUTAGE + "test_p5_a_cut_range_is_no_short_answer",)),
    (
        45,
        "an error page taken for an error of ours",
        (
            GCS + "test_a_page_of_an_overloaded_server_is_an_outage",
            PLATFORMS + "test_every_status_means_one_thing_whatever_the_body_says",
        ),
    ),
    (
        46,
        "integrity unchecked by default",
        (
            GCS + "test_p4_a_byte_that_changes_on_its_way_is_noticed_by_default",
            "backends/test_azure.py::test_p4_a_bit_that_flips_on_its_way_to_azure_stores_nothing",
            "backends/test_s3.py::test_p4_a_flipped_bit_is_no_body",
        ),
    ),
    (
        47,
        "a token that cannot be renewed",
        (
            GCS + "test_a_token_that_cannot_be_renewed_is_denied_at_once",
            GCS + "test_reads_go_on_elsewhere_when_a_token_has_ended",
        ),
    ),
    (
        48,
        "one refusal, three exceptions",
        (
            PLATFORMS + "test_every_status_means_one_thing_whatever_the_body_says",
            GCS + "test_a_status_means_the_same_whoever_words_it",
            AZURE + "test_a_status_means_the_same_whatever_is_written_below_it",
        ),
    ),
    # Azure
    (
        49,
        "an overwrite that deletes first",
        (
            AZURE + "test_p2_an_overwrite_never_deletes_what_lies_there",
            AZURE + "test_p2_an_overwrite_that_stops_between_any_two_calls_leaves_old_or_new",
        ),
    ),
    (
        50,
        "two writers' blocks in one object",
        (
            AZURE + "test_p2_of_two_uploads_to_one_key_one_is_there_whole",
            AZURE + "test_p2_an_upload_that_another_one_overtook_is_told_so",
        ),
    ),
    (
        51,
        "flat and hierarchical accounts",
        (
            "backends/test_conformance.py::TestSimulatedTree",
            "backends/test_conformance.py::TestSimulatedFlat",
            "backends/test_azure.py::test_a_directory_of_a_hierarchical_account_is_no_empty_object",
        ),
    ),
    (
        52,
        "a half-failed removal keeps the cache",
        (AZURE + "test_a_removal_that_fails_for_one_key_hides_no_other_deletion",),
    ),
    (
        53,
        "a directory that is there and is not",
        (
            PLATFORMS + "test_an_emptied_directory_is_gone_for_every_call",
            AZURE + "test_an_emptied_directory_is_one_thing_to_every_call",
        ),
    ),
    (
        54,
        "a check that needs more rights than the work",
        (
            AZURE + "test_who_may_do_the_work_need_not_look_at_the_container",
            AZURE + "test_a_signature_without_listing_is_enough_to_work",
            S3 + "test_a_store_that_only_reads_needs_the_right_to_get_alone",
        ),
    ),
    # disks
    (
        55,
        "acknowledged and not synced",
        (
            DISKS + "test_p1_a_new_file_is_on_the_disk_before_it_has_its_name",
            DISKS + "test_p1_an_overwrite_is_on_the_disk_before_it_replaces",
            DISKS + "test_p1_a_disk_that_cannot_make_it_durable_acknowledges_nothing",
        ),
    ),
    (
        56,
        "a temporary file on another disk",
        (
            DISKS + "test_a_temporary_file_lies_beside_its_target",
            DISKS + "test_a_full_temporary_folder_is_said_and_leaves_no_object",
            DISKS + "test_p8_a_reader_sees_the_old_file_or_the_new_one",
        ),
    ),
    (
        57,
        "a temporary file that others see",
        (
            DISKS + "test_what_is_under_way_is_in_no_listing_and_is_no_object",
            DISKS + "test_p8_what_a_killed_process_left_is_swept_when_it_is_old_and_not_before",
        ),
    ),
    (
        58,
        "a disk that is not mounted",
        (
            DISKS + "test_p5_a_root_that_is_not_there_is_unavailable_and_never_empty",
            DISKS + "test_p5_a_directory_removed_during_a_listing_hides_nothing_else",
            "backends/test_conformance.py::TestLocal",
        ),
    ),
    (
        59,
        "names that fold into one",
        (DISKS + "test_two_names_that_fold_into_one_are_refused_or_kept_apart",),
    ),
    (
        60,
        "a file where a directory must be",
        (DISKS + "test_a_key_and_one_below_it_are_refused_on_all_backends_or_on_none",),
    ),
    (
        61,
        "links that lead out or round",
        (
            DISKS + "test_links_are_followed_neither_out_nor_round",
            DISKS + "test_nothing_is_written_or_removed_through_a_link",
            DISKS + "test_a_recursive_removal_takes_the_links_place_and_nothing_behind_it",
        ),
    ),
    # replication
    (
        62,
        "one member down, all down",
        (
            SUITE + "TestGetDirectoriesOneDead",
            "catalogued/test_fsspec_suites.py::TestPutOneDead",
            RESOURCES + "test_many_reads_at_once_with_a_hung_backend",
        ),
    ),
    (
        63,
        "writing again repairs nothing",
        (
            WRITERS + "test_writing_again_completes_what_a_backend_missed",
            PEERS + "test_row_1r_who_missed_a_write_holds_it_after_its_return",
        ),
    ),
    (
        64,
        "a deletion that was refused here and done there",
        (
            DELETE + "test_p3_a_deletion_is_one_whatever_a_backend_answers_to_it",
            DELETE
            + "test_a_deletion_that_one_backend_refuses_is_a_deletion_and_is_carried_out_later",
        ),
    ),
    (
        65,
        "an empty listing taken for a deletion of all",
        (
            IDENTITY + "test_an_emptied_bucket_is_unavailable_and_nothing_on_it_is_missing",
            IDENTITY + "test_a_disk_that_is_not_mounted_is_unavailable_and_is_as_before_when_it_is",
            SUSPECT + "test_more_than_a_hundred_missing_make_a_backend_suspect",
        ),
    ),
    (
        66,
        "the deleted comes back with who missed it",
        (
            DELETE + "test_p3_whoever_was_away_brings_nothing_back",
            DELETE + "test_p3_after_the_purge_adopting_brings_nothing_back",
            IDENTITY
            + "test_p2_p3_a_backend_that_went_back_in_time_serves_nothing_before_it_was_verified",
            REPAIR + "test_p7_any_history_of_outages_ends_whole",
        ),
    ),
    (
        67,
        "a lost marker makes good bytes unreadable",
        (DELETE + "test_p3_a_tombstone_whose_bytes_went_some_other_way_is_purged_all_the_same",),
    ),
    (
        68,
        "tombstones that expire",
        (
            DELETE + "test_p3_a_tombstone_waits_for_the_last_backend_however_long_it_is_away",
            DELETE
            + "test_p3_a_tombstone_waits_for_a_backend_that_was_taken_out_of_the_configuration",
        ),
    ),
    (
        69,
        "repair destroys the last good copy",
        (
            REPAIR + "test_p4_repair_copies_from_nobody_who_does_not_verify",
            REPAIR + "test_p4_repair_invents_nothing_where_no_copy_is_left",
            READ + "test_a_good_replica_is_not_blamed_for_what_another_backend_does",
            SUSPECT + "test_more_than_a_hundred_missing_make_a_backend_suspect",
        ),
    ),
    (
        70,
        "a failed read condemns a good copy",
        (
            READ + "test_an_answer_that_says_nothing_of_the_bytes_condemns_no_replica",
            READ + "test_what_cannot_be_had_now_leaves_a_replicas_state_alone",
        ),
    ),
    (
        71,
        "locks of the dead",
        (
            KILLED + "test_a_killed_process_leaves_what_stands",
            WRITE + "test_p8_the_intent_of_a_writer_that_never_returns_needs_no_person",
            REPAIR + "test_p8_a_repair_that_was_killed_is_gone_on_with",
        ),
    ),
    (
        72,
        "names with quotes and worse",
        (
            NAMES + "test_a_name_that_only_looks_odd_is_kept_as_it_is",
            NAMES + "test_a_name_that_one_platform_reads_in_another_way_is_refused_everywhere",
        ),
    ),
    (
        73,
        "two copies and no arbiter",
        (
            WRITE + "test_two_processes_that_see_one_backend_each_write_one_after_the_other",
            PEERS + "test_row_11_two_writers_never_leave_the_backends_different",
        ),
    ),
    (
        74,
        "bytes are mirrored, headers are not",
        (
            SURFACE + "test_headers_are_kept_by_overwrite_copy_and_move",
            WRITE + "test_headers_are_kept_by_overwrites_and_by_repair",
        ),
    ),
    (
        75,
        "mirrors written one after the other",
        (
            REPLICAS + "test_a_change_of_five_backends_takes_little_longer_than_of_one",
            "catalogued/test_placement.py::test_p1_copies_are_asked_of_the_placed_backends",
        ),
    ),
    (
        76,
        "a method missing with one configuration only",
        (SURFACE + "test_info_has_what_is_promised", SURFACE + "test_marks_change_with_the_bytes"),
    ),
    (
        77,
        "repair that starves, or is starved",
        (
            PACE + "test_reads_take_no_longer_than_they_may_once_it_has_given_way",
            PACE + "test_reads_that_became_slow_by_themselves_hold_nothing_up_for_ever",
            "operations/test_repair.py::test_what_is_left_on_the_fewest_platforms_comes_first",
        ),
    ),
    (
        78,
        "the old copy goes before the new one is proved",
        (
            FAILURES + "test_an_overwrite_is_half_there_and_nobody_is_told",
            WRITERS + "test_put_and_get_do_not_touch_a_previous_good_file_on_failure",
        ),
    ),
    # of breakers, hedges and clocks
    (
        79,
        "a probe's place that is never given back",
        (
            BREAKER + "test_the_probe_slot_leaks_and_the_breaker_never_closes",
            HEALTH + "test_a_probe_that_ends_like_this_keeps_its_breaker_half_open",
        ),
    ),
    (
        80,
        "half-open for everybody",
        (
            BREAKER + "test_half_open_lets_the_crowd_in",
            HEALTH + "test_half_open_lets_500_readers_through_at_once",
        ),
    ),
    (
        81,
        "not found counted as failure, or as health",
        (BREAKER + "test_404_opens_the_breaker", BREAKER + "test_404_hides_failures"),
    ),
    (
        82,
        "a success whose body dies",
        (BREAKER + "test_an_answer_whose_body_dies_is_taken_for_a_success",),
    ),
    (
        83,
        "hedges that double the load",
        (
            READING + "test_hedges_double_the_load_exactly_when_there_is_none_to_spare",
            "laws/test_hedge.py::test_throttling_stops_hedges_and_an_opened_breaker_pays_for_ten",
        ),
    ),
    (
        84,
        "a hedge for every waiting caller",
        (LOAD + "test_every_waiting_caller_sends_a_hedge_of_its_own",),
    ),
    (
        85,
        "a loser that goes on",
        (
            READING + "test_a_loser_that_is_not_cancelled",
            RESOURCES + "test_a_thousand_reads_in_turn_with_a_hung_backend",
        ),
    ),
    (
        86,
        "order by wall clock",
        (
            REPLICAS + "test_writes_are_in_the_order_in_which_they_were_whatever_the_clocks_say",
            REPLICAS + "test_a_clock_that_is_put_elsewhere_in_the_middle_of_a_write_mixes_nothing",
        ),
    ),
    (
        87,
        "a return at full speed",
        (
            PACE + "test_it_begins_gently_where_somebody_reads_and_only_there",
            PACE
            + "test_after_half_a_minute_most_of_what_a_platform_takes_is_used_and_little_refused",
            "operations/test_drain_rejoin.py::test_a_large_backend_is_compared_in_pieces",
        ),
    ),
    (
        88,
        "a hang that no option bounds",
        (PLATFORMS + "test_p6_a_server_that_stops_anywhere_costs_no_more_than_the_deadline",),
    ),
    (
        89,
        "a load that outlives its fault",
        (LOAD + "test_load_that_does_not_stop_keeps_a_backend_down_that_is_well_again",),
    ),
    # catalogs
    (
        90,
        "a commit that power takes back",
        (
            SQLITE + "test_every_connection_keeps_what_it_acknowledges",
            SQLITE + "test_a_file_that_cannot_be_made_durable_is_refused",
            POSTGRES + "test_a_server_that_may_lose_what_it_acknowledges_is_refused",
        ),
    ),
    (
        91,
        "a busy time-out that does not help",
        (
            PROCESSES + "test_nobody_hears_that_the_database_is_locked",
            SQLITE + "test_every_writing_transaction_begins_with_the_lock",
        ),
    ),
    (
        92,
        "a write-ahead log on a network disk",
        (
            SQLITE + "test_a_network_file_system_is_refused_before_anything_is_opened",
            SQLITE + "test_a_folder_without_shared_memory_is_refused",
        ),
    ),
    (
        93,
        "a connection carried over a fork",
        (
            PROCESSES + "test_forked_children_write_with_connections_of_their_own",
            PROCESSES + "test_a_childs_end_does_not_disturb_its_parent",
            PROCESSES
            + "test_a_connection_that_could_not_be_closed_before_a_fork_is_not_used_after",
        ),
    ),
    (
        94,
        "a closed file that drops its locks",
        ("operations/test_snapshot.py::test_it_is_of_one_moment_while_others_write",),
    ),
    (
        95,
        "a session lock behind a pooler",
        (POSTGRES + "test_nothing_outlives_a_transaction_on_the_server",),
    ),
    (
        96,
        "idle in a transaction",
        (
            WRITE + "test_no_transaction_is_open_while_bytes_travel",
            POSTGRES + "test_who_is_stopped_in_the_middle_of_a_change_holds_nobody_up_for_ever",
        ),
    ),
    (
        97,
        "the commit whose answer is lost",
        (
            SQLITE + "test_an_error_in_commit_leaves_the_outcome_unknown",
            POSTGRES + "test_an_answer_lost_in_commit_leaves_the_outcome_unknown",
            "crashes/test_postgres.py::test_a_commit_whose_answer_is_lost_is_asked_again",
        ),
    ),
    (
        98,
        "an owner that outlives its lease",
        (
            WRITE + "test_p2_a_writer_that_was_paused_beyond_its_lease_loses_and_is_not_seen",
            WRITE + "test_p2_a_writer_that_was_paused_just_before_its_commit_loses",
            "crashes/test_workers.py::test_a_move_that_takes_longer_than_its_lease_keeps_both_paths",
        ),
    ),
    # images
    (99, "a check that checks nothing", ()),
    (100, "half an image, accepted as black", ()),
    (101, "a small file of gigapixels", ()),
    (102, "sideways, discoloured, pages lost", ()),
    (103, "where it was taken, in the thumbnail", ()),
    (
        104,
        "yesterday's preview of today's original",
        (READ + "test_p5_a_preview_of_another_version_says_so",),
    ),
    # security
    (
        105,
        "a name that climbs out of its root",
        (
            NAMES + "test_a_name_that_one_platform_reads_in_another_way_is_refused_everywhere",
            NAMES + "test_no_backend_is_asked_for_anything_outside_its_root",
        ),
    ),
    (
        106,
        "a root that begins like another",
        (NAMES + "test_a_root_that_begins_like_another_is_another",),
    ),
    (
        107,
        "the reserved area, written by name",
        (
            NAMES + "test_a_name_that_one_platform_reads_in_another_way_is_refused_everywhere",
            NAMES + "test_the_stores_own_area_is_in_no_listing",
        ),
    ),
    (
        108,
        "a URL out of data",
        (NAMES + "test_a_backend_is_a_registered_protocol_and_never_a_chain",),
    ),
    (109, "markup in a name", (NAMES + "test_a_name_in_an_error_is_quoted_and_can_be_copied",)),
    (
        110,
        "a formula in a report",
        ("operations/test_damage_forms.py::test_no_cell_is_a_formula_and_every_row_is_there",),
    ),
    (
        111,
        "a signed URL in an exception",
        (
            SECRETS + "test_no_credential_is_in_an_error_or_in_the_log",
            PLATFORMS + "test_no_credential_is_in_what_is_raised_logged_or_printed",
        ),
    ),
    (
        112,
        "a copy trusted because it is listed",
        (REPLICAS + "test_two_machines_that_each_count_on_the_other_ones_copy_do_not_remove_both",),
    ),
    # applications
    (
        113,
        "a free name, given twice",
        (
            TRANSFERS + "test_of_many_creators_exactly_one_gets_the_name",
            TRANSFERS + "test_of_many_processes_exactly_one_gets_the_name",
        ),
    ),
    (
        114,
        "the caller's file, closed",
        (TRANSFERS + "test_the_callers_file_is_left_open_at_its_end",),
    ),
    (
        115,
        "one source for many backends",
        (
            TRANSFERS + "test_a_pipe_feeds_a_slow_and_a_failing_backend_within_bounded_memory",
            TRANSFERS + "test_what_can_be_read_only_once_reaches_every_backend",
        ),
    ),
    (
        116,
        "a leading slash",
        (
            NAMES + "test_every_spelling_means_one_key",
            NAMES + "test_every_entry_takes_every_spelling",
        ),
    ),
)
