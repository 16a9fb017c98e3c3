//! The contract of the ledger, told as stories; each runs on both engines. What one of them holds, the other holds too.

#![allow(clippy::disallowed_methods, reason = "what takes how long is measured on the real clock")]
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod aging;
mod auditing;
mod cast;
mod checkup;
mod counting;
mod faults;
mod pace;
mod pressure;
mod reading;
mod takeover;
mod talking;
mod telling;
mod writing;

/// Makes a test of every story for both engines.
macro_rules! stories {
    ($module:ident: $($story:ident),* $(,)?) => {
        mod $module {
            mod sqlite {
                $(
                    #[tokio::test]
                    async fn $story() {
                        let place = crate::cast::Place::sqlite().await;
                        crate::$module::$story(&place).await;
                        place.remove().await;
                    }
                )*
            }
            mod postgres {
                $(
                    #[tokio::test]
                    async fn $story() {
                        let Some(place) = crate::cast::Place::postgres().await else { return };
                        crate::$module::$story(&place).await;
                        place.remove().await;
                    }
                )*
            }
        }
    };
}

mod told {
    stories! { writing:
        a_posted_job_comes_back_as_it_was,
        the_last_row_of_a_batch_stands,
        two_active_visits_of_a_job_are_refused_and_the_others_go_on,
        two_winners_of_a_run_are_refused,
        a_place_is_taken_once,
        a_place_is_freed_and_taken_in_one_batch,
        a_key_makes_one_job,
        an_event_is_written_once,
        a_job_without_a_deadline_is_refused,
        duty_is_remembered,
    }
    stories! { auditing:
        what_ops_did_is_there_when_its_record_is_and_only_then,
        nobody_changes_an_entry,
        a_change_of_the_directory_has_its_entry_and_no_change_has_none,
    }
    stories! { aging:
        after_thirty_days_those_not_chosen_are_counts_and_after_a_year_nothing_is_left,
        what_grows_old_goes_in_slices_beside_a_writer,
        a_choice_from_before_this_schema_grows_old_too,
    }
    stories! { faults:
        a_raised_fence_ends_the_writer,
        a_held_lock_is_refused,
        an_unknown_commit_that_happened_is_not_repeated,
        an_unknown_commit_that_did_not_happen_is_repeated,
        a_database_that_is_away_bounds_the_queue,
        a_taken_over_ledger_fences_who_reconnects,
        a_newer_schema_is_refused,
        many_at_once_are_all_written,
    }
    stories! { counting:
        what_a_friend_holds_or_has_done_in_a_year_counts,
        a_visit_that_takes_a_place_has_not_ended,
        wishes_outside_of_an_area_are_counted_by_cell,
        a_wish_waits_its_turn_like_every_record,
        how_long_friends_wait_comes_from_duties_and_offers,
        who_waits_is_read_in_pages_and_who_went_long_ago_is_not,
        the_seats_kept_for_the_longest_wait_are_counted_by_place,
        when_something_was_done_last_is_kept,
        an_older_database_is_refused_until_it_is_migrated,
    }
    stories! { talking:
        what_was_said_comes_back_as_it_was,
        what_nobody_could_have_said_is_refused,
    }
    stories! { telling:
        what_partners_hear_is_written_with_what_happened,
        who_has_no_endpoint_costs_no_row,
        an_endpoint_hears_what_it_wants_and_one_that_is_off_hears_nothing,
        a_refused_record_tells_nothing,
        what_is_due_comes_endpoint_by_endpoint_and_what_came_of_it_is_kept,
        what_waits_for_an_endpoint_that_is_gone_is_given_up_and_what_is_over_is_forgotten,
        a_partner_sees_and_resends_only_their_own,
        secrets_are_sealed_where_there_is_a_key,
    }
    stories! { checkup:
        a_look_makes_nothing_and_sees_who_has_the_ledger,
    }
    stories! { takeover:
        an_idle_writer_sees_a_raised_fence,
        who_takes_over_goes_on_and_the_other_writes_nothing_more,
        who_asks_hears_that_the_fence_stands,
        a_goodbye_is_left_behind,
    }
    stories! { reading:
        a_partner_sees_its_own_jobs,
        verdicts_follow_from_the_rows,
        wins_of_the_last_day_come_back_with_a_start,
        outcomes_tell_every_run,
        an_import_is_all_or_nothing,
        documents_have_versions,
        api_keys_are_kept_as_hashes,
        a_value_is_kept_from_the_first_start_on,
        what_went_past_a_friend_is_found_by_choice_or_by_place,
        ops_find_jobs_by_what_they_stand_for,
        a_job_is_told_with_all_that_became_of_it,
        how_long_the_newest_jobs_took_to_be_won,
    }
}
