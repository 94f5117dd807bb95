-- The tables of src/adapters/store-sqlite-schema.ts on D1, the same ones, so that an export of D1 is a store that ballast reads.
-- Applied by `npx wrangler d1 migrations apply DB --remote`; held to that file by test/store/d1.test.ts. Never changed once released.
CREATE TABLE "kysely_migration" ("name" varchar(255) not null primary key, "timestamp" varchar(255) not null);
CREATE TABLE "kysely_migration_lock" ("id" varchar(255) not null primary key, "is_locked" integer default 0 not null);
CREATE TABLE "samples" ("id" text primary key, "experiment" text not null, "arm" text not null, "policy" text, "policy_hash" text, "check_id" text not null, "check_version" text not null, "probability" real not null, "model" text not null, "unit" text not null, "question_hash" text not null, "requested_at" integer not null, "messages" text not null, "question" text not null, "answer" text not null, "done" integer not null, "visible_at" integer not null, "attempts" integer not null, "extra" text, "assignment" text default '' not null, "erased" integer default 0 not null, "takings" integer default 0 not null, "traceparent" text);
CREATE TABLE "verdicts" ("sample_id" text not null references "samples" ("id") on delete cascade, "check_id" text not null, "check_version" text not null, "verdict" text not null, "scores" text not null, "judged_at" integer not null, constraint "verdicts_once" primary key ("sample_id", "check_id"));
CREATE TABLE "exposures" ("experiment" text not null, "arm" text not null, "assignment" text not null, "exposures" integer not null, "anonymous_units" integer not null, constraint "exposures_of_arm" primary key ("experiment", "arm", "assignment"));
CREATE TABLE "units" ("experiment" text not null, "arm" text not null, "assignment" text not null, "unit" text not null, constraint "units_once" primary key ("experiment", "arm", "assignment", "unit"));
CREATE TABLE "settings" ("name" text primary key, "value" text not null);
CREATE TABLE "tallies" ("experiment" text not null, "check_id" text not null, "check_version" text not null, "arm" text not null, "policy_hash" text not null, "hour" integer not null, "kind" text not null, "extra" integer not null, "n" integer not null, "w" real not null, "w2" real not null, constraint "tallies_of" primary key ("experiment", "check_id", "check_version", "arm", "policy_hash", "hour", "kind", "extra"));
CREATE TABLE "score_tallies" ("experiment" text not null, "check_id" text not null, "check_version" text not null, "arm" text not null, "policy_hash" text not null, "rubric" text not null, "score" text not null, "n" integer not null, constraint "score_tallies_of" primary key ("experiment", "check_id", "check_version", "arm", "policy_hash", "rubric", "score"));
CREATE TABLE "labels" ("sample_id" text not null references "samples" ("id") on delete cascade, "check_id" text not null, "check_version" text not null, "labelled_by" text not null, "verdict" text not null, "probability" real, "labelled_at" integer not null, constraint "labels_once" primary key ("sample_id", "check_id", "labelled_by"));
CREATE TABLE "notes" ("name" text primary key, "revision" integer not null, "text" text not null);
CREATE TABLE "arm_events" ("id" text primary key, "seq" integer not null unique, "experiment" text not null, "arm" text not null, "action" text not null, "by" text not null, "reason" text not null, "evidence" text, "at" integer not null);
CREATE TABLE "counters" ("name" text primary key, "n" real not null, "until" integer not null);
CREATE INDEX "samples_unjudged" on "samples" ("experiment", "check_id", "requested_at") where "done" = 0;
CREATE INDEX "samples_due" on "samples" ("visible_at", "requested_at") where "done" = 0;
CREATE INDEX "samples_due_of_check" on "samples" ("check_id", "visible_at", "requested_at") where "done" = 0;
CREATE INDEX "samples_with_text" on "samples" ("requested_at") where "erased" = 0;
CREATE INDEX "samples_by_time" on "samples" ("requested_at", "id");
CREATE INDEX "samples_of_experiment" on "samples" ("experiment", "requested_at", "id", "check_id", "arm", "policy_hash", "unit", "question_hash", "assignment", "extra");
CREATE INDEX "samples_of_unit" on "samples" ("experiment", "check_id", "unit", "question_hash", "requested_at", "id", "arm", "policy_hash", "extra");
insert into kysely_migration (name, timestamp) values
  ('0001-first', '2026-11-29T00:00:00.000Z'),
  ('0002-unit-keys', '2026-11-29T00:00:00.000Z'),
  ('0003-extra-samples', '2026-11-29T00:00:00.000Z'),
  ('0004-tallies', '2026-11-29T00:00:00.000Z'),
  ('0005-request-order', '2026-11-29T00:00:00.000Z'),
  ('0006-traces', '2026-11-29T00:00:00.000Z');
insert into kysely_migration_lock (id, is_locked) values ('migration_lock', 0);
