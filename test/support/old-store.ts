/** SQL that makes a SQLite store what an earlier release left. */

/** Before tallies, labels, notes and arm events. */
export const BEFORE_TALLIES = `
  drop index samples_of_unit;
  drop index samples_by_time;
  drop index samples_of_experiment;
  create index samples_of_experiment on samples (experiment, check_id, requested_at);
  drop index samples_unjudged;
  drop index samples_due;
  drop index samples_due_of_check;
  create index samples_waiting on samples (done, requested_at, visible_at);
  drop index samples_with_text;
  drop table tallies;
  drop table score_tallies;
  drop table labels;
  drop table notes;
  drop table arm_events;
  drop table counters;
  alter table samples drop column assignment;
  alter table samples drop column erased;
  alter table samples drop column takings;
  alter table samples drop column traceparent;
  delete from kysely_migration where name >= '0004';`

/** Before extra samples, too. */
export const BEFORE_EXTRAS = `${BEFORE_TALLIES}
  alter table samples drop column extra;
  delete from kysely_migration where name >= '0003';`
