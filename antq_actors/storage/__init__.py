"""Jobs on disk: one LMDB environment, the verbs on it, and the one actor that touches it.

client        what upper layers call: any verb, by one message
requests      what the storage actor is asked
actor         group commit: everything waiting is one transaction
main_objects  pickles of what a script defines
jobs/         the verbs: job_store (the path of a job), writer (one by one), reader;
              table keeps a job's tables in agreement, meta the small facts
format/       the bytes of values, and showing them without running anything
lmdb/         LMDB opened, grown, closed; transactions; the bytes of keys; its errors in our words
locks/        which nodes live, and who has a store open
admin/        verify, back up, compact, migrate, sign anew, export and import
"""
