"""Jobs on disk: one LMDB environment, the verbs on it, and the one actor that touches it.

client          what upper layers call; every method is one message
storage_actor   group commit: everything waiting is one transaction
job_store       the verbs that change jobs     job_reader   those that only look
job_table       the tables of a job, kept in agreement;  verify proves that they are
environment     LMDB opened, grown, closed; its errors in our words
encoding, keys  the bytes of values, the bytes of keys
"""
