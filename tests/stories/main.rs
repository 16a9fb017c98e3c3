//! Stories of the core, told in virtual time: who posts, who accepts, what is written and what everybody hears. The cast is
//! in `town`; `walk` lets chance write the stories.

mod ledger;
mod streets;
mod town;

mod areas;
mod asking;
mod direct;
mod fairness;
mod gates;
mod hindsight;
mod nights;
mod pays;
mod posts;
mod proposing;
mod quality;
mod quarantine;
mod races;
mod restarts;
mod second_thoughts;
mod steering;
mod trials;
mod visits;
mod walk;
mod waves;
