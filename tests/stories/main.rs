//! Stories of the core, told in virtual time: who posts, who accepts, what is written and what everybody hears. The cast is
//! in `town`; `walk` lets chance write the stories.

mod ledger;
mod streets;
mod town;

mod areas;
mod fairness;
mod gates;
mod nights;
mod posts;
mod quality;
mod quarantine;
mod races;
mod restarts;
mod second_thoughts;
mod steering;
mod visits;
mod walk;
mod waves;
