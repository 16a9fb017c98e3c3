//! People and what admins maintain, over the wire: the audit log, accounts and checks, friends' own settings, versions,
//! the import, waitlist and brake, the listing with its photos. Each story runs on both engines.

#![allow(clippy::disallowed_methods, reason = "what is seen from outside is measured on the real clock")]

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod desk;

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
    stories! { audit:
        who_changed_what_is_told_to_dispatchers_page_by_page,
    }
}
