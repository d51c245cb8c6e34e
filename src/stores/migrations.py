"""The statements that create the SQLite store's tables and indexes, as steps from each version to the next."""

from __future__ import annotations

from typing import Final

DELETE_PARTS_TOO: Final = """CREATE {kind} result_deleted AFTER DELETE ON results BEGIN
               DELETE FROM result_parts WHERE result_id = OLD.id;
           END"""
SCHEMA_WITH_TRIGGER: Final = 2
"""The first version with `DELETE_PARTS_TOO`; if an older file cannot be migrated, each connection creates it."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE results (
               id TEXT PRIMARY KEY NOT NULL,
               created_ms INTEGER NOT NULL,
               user_id TEXT NOT NULL,
               symbol TEXT NOT NULL,
               summary TEXT NOT NULL
           )""",
        """CREATE TABLE result_parts (
               result_id TEXT NOT NULL,
               name TEXT NOT NULL,
               content BLOB NOT NULL,
               PRIMARY KEY (result_id, name)
           )""",
        "CREATE INDEX results_newest ON results (created_ms, id)",
        "CREATE INDEX results_of_user ON results (user_id, created_ms, id)",
        "CREATE INDEX results_of_symbol ON results (symbol, created_ms, id)",
        "CREATE INDEX results_of_user_and_symbol ON results (user_id, symbol, created_ms, id)",
    ),
    (
        # Quotas count this size; with it in the index, a user's total is read from the index alone.
        "ALTER TABLE results ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0",
        """UPDATE results SET size_bytes = length(CAST(summary AS BLOB)) + (
               SELECT coalesce(sum(length(content)), 0) FROM result_parts WHERE result_id = results.id
           )""",
        "DROP INDEX results_of_user",
        "CREATE INDEX results_of_user ON results (user_id, created_ms, id, size_bytes)",
        DELETE_PARTS_TOO.format(kind="TRIGGER"),
    ),
    (
        # Runs stay counted here: deleting a result deletes no row.
        """CREATE TABLE trial_ledgers (
               user_id TEXT NOT NULL,
               symbol TEXT NOT NULL,
               total BLOB NOT NULL,
               active BLOB NOT NULL,
               head TEXT NOT NULL,
               PRIMARY KEY (user_id, symbol)
           )""",
        """CREATE TABLE trials (
               user_id TEXT NOT NULL,
               symbol TEXT NOT NULL,
               key TEXT NOT NULL,
               PRIMARY KEY (user_id, symbol, key)
           ) WITHOUT ROWID""",
    ),
    (
        # Earlier trials have no links: the chain continues from the stored head.
        "ALTER TABLE trial_ledgers ADD COLUMN runs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN unlinked_runs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN first_head TEXT NOT NULL DEFAULT ''",
        """UPDATE trial_ledgers SET first_head = head, runs = (
               SELECT count(*) FROM trials
               WHERE trials.user_id = trial_ledgers.user_id AND trials.symbol = trial_ledgers.symbol
           )""",
        "UPDATE trial_ledgers SET unlinked_runs = runs",
        "ALTER TABLE trials ADD COLUMN number INTEGER",
        "ALTER TABLE trials ADD COLUMN entry TEXT",
        "ALTER TABLE trials ADD COLUMN sums TEXT",
        "ALTER TABLE trials ADD COLUMN head TEXT",
        "CREATE UNIQUE INDEX trials_in_order ON trials (user_id, symbol, number) WHERE number IS NOT NULL",
    ),
    (
        # Whether the file had trials without links: if not, a trial that has none later has lost it.
        "CREATE TABLE trial_links (are_complete INTEGER NOT NULL)",
        "INSERT INTO trial_links SELECT NOT EXISTS (SELECT 1 FROM trials WHERE number IS NULL)",
    ),
    (
        # How many runs a link counts: 1 for all links before batches; 0 for a run that shares another run's link.
        "ALTER TABLE trials ADD COLUMN runs INTEGER NOT NULL DEFAULT 1",
    ),
    (
        """CREATE TABLE jobs (
               id TEXT PRIMARY KEY NOT NULL,
               user_id TEXT NOT NULL,
               kind TEXT NOT NULL,
               state TEXT NOT NULL,
               created_ms INTEGER NOT NULL,
               started_ms INTEGER,
               ended_ms INTEGER,
               done INTEGER NOT NULL,
               total INTEGER,
               rate REAL,
               best_so_far REAL,
               attempt INTEGER NOT NULL,
               failure TEXT,
               warnings TEXT NOT NULL,
               result_id TEXT,
               size_bytes INTEGER NOT NULL,
               lease_token TEXT,
               lease_holder TEXT,
               lease_expires_ms INTEGER,
               idempotency_key TEXT,
               idempotency_digest TEXT
           )""",
        "CREATE INDEX jobs_of_user ON jobs (user_id, created_ms, id, state, size_bytes)",
        "CREATE UNIQUE INDEX jobs_by_key ON jobs (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL",
        "CREATE INDEX jobs_waiting ON jobs (user_id, created_ms, id) WHERE state IN ('QUEUED', 'INTERRUPTED')",
        "CREATE INDEX jobs_held ON jobs (user_id, lease_expires_ms) WHERE state IN ('RUNNING', 'CANCELLING')",
        "CREATE INDEX jobs_ended ON jobs (ended_ms) WHERE ended_ms IS NOT NULL",
        # In a table of their own, because the job's row changes with every chunk.
        """CREATE TABLE job_documents (
               job_id TEXT NOT NULL,
               name TEXT NOT NULL,
               content BLOB NOT NULL,
               PRIMARY KEY (job_id, name)
           )""",
        """CREATE TABLE job_chunks (
               job_id TEXT NOT NULL,
               first INTEGER NOT NULL,
               count INTEGER NOT NULL,
               content BLOB NOT NULL,
               PRIMARY KEY (job_id, first)
           )""",
        """CREATE TRIGGER job_deleted AFTER DELETE ON jobs BEGIN
               DELETE FROM job_documents WHERE job_id = OLD.id;
           END""",
        # Which user was served when: users take turns.
        "CREATE TABLE job_turns (user_id TEXT PRIMARY KEY NOT NULL, turn INTEGER NOT NULL)",
    ),
    (
        # What a job does after its units of work, and the last attempt that has stored something new.
        "ALTER TABLE jobs ADD COLUMN stage TEXT",
        "ALTER TABLE jobs ADD COLUMN fruitful_attempt INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # The size of each ledger, and the order in which they shrink: by rank, then by their last new trial.
        "ALTER TABLE trial_ledgers ADD COLUMN reduced_runs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN missing_runs INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN rank INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN used INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE trial_ledgers ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0",
        "UPDATE trial_ledgers SET size_bytes = 1024 + length(total) + length(active) + 512 * runs",
        # With the size, so that totals are read from the indexes alone.
        "CREATE INDEX ledgers_to_shrink ON trial_ledgers (rank, used, size_bytes)",
        "CREATE INDEX ledgers_of_user_to_shrink ON trial_ledgers (user_id, rank, used, size_bytes)",
        "CREATE INDEX ledgers_by_use ON trial_ledgers (used)",
        """CREATE TABLE ledger_folds (
               keeper TEXT NOT NULL,
               is_simulated INTEGER NOT NULL,
               markets INTEGER NOT NULL,
               runs INTEGER NOT NULL,
               PRIMARY KEY (keeper, is_simulated)
           ) WITHOUT ROWID""",
    ),
)
"""Statements that lead from each `PRAGMA user_version` to the next; once released, they are never changed."""
