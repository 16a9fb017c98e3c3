//! People and what admins maintain, over the wire: the audit log, accounts and checks, friends' own settings, versions,
//! the import, waitlist and brake, the listing with its photos. Each story runs on both engines.

#![allow(clippy::disallowed_methods, reason = "what is seen from outside is measured on the real clock")]

mod accounts;
mod areas;
mod audit;
#[path = "../common/mod.rs"]
mod common;
mod desk;
mod documents;
mod listing;
mod photos;
mod settings;

/// Makes a test of every story for both engines.
macro_rules! stories {
    ($module:ident: $($story:ident),* $(,)?) => {
        mod $module {
            mod sqlite {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $story() {
                        crate::$module::$story(crate::common::Database::sqlite()).await;
                    }
                )*
            }
            mod postgres {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $story() {
                        let Some(database) = crate::common::Database::postgres() else { return };
                        crate::$module::$story(database).await;
                    }
                )*
            }
        }
    };
}

mod told {
    stories! { accounts:
        an_application_is_checked_step_by_step_until_it_is_active,
        only_a_human_limits_suspends_and_reinstates_and_says_why,
        ops_see_friends_with_their_load_and_without_a_place,
    }
    stories! { settings:
        a_friend_sets_what_is_theirs_and_hears_why_the_rest_is_not,
        the_next_choice_goes_by_new_settings_and_so_does_a_restart,
    }
    stories! { documents:
        a_document_has_versions_and_nobody_overwrites_what_they_have_not_seen,
        a_job_goes_by_the_rules_of_the_day_it_is_posted,
        an_import_says_which_line_is_too_long,
        an_import_by_hand_is_seen_by_the_server_beside_it,
    }
    stories! { areas:
        the_brake_holds_at_once_and_after_a_restart,
        a_document_that_does_not_speak_of_the_brake_leaves_it,
        what_is_wanted_outside_is_counted_by_cell,
    }
    stories! { listing:
        a_partner_sees_cards_of_those_who_want_it_and_no_place,
        nobody_is_found_by_asking_from_many_points,
        who_is_chosen_from_the_listing_is_asked_alone,
    }
    stories! { photos:
        a_photo_is_what_its_bytes_say_and_shown_to_whom_the_rules_say,
        the_customer_sees_who_comes_once_somebody_comes,
    }
    stories! { audit:
        who_changed_what_is_told_to_dispatchers_page_by_page,
    }
}
