"""What of the context of a trace is kept in the meta of a job."""

from antq_actors.telemetry.attempts import add_to_meta


def test_the_context_of_a_trace_replaces_an_earlier_one_and_stays_beside_the_rest():
    meta = {"mine": "a", "traceparent": "earlier"}

    add_to_meta(meta, {"traceparent": "00-1-2-01"})

    assert meta == {"mine": "a", "traceparent": "00-1-2-01"}


def test_baggage_of_sentry_and_of_others_stand_beside_each_other():
    meta = {"baggage": "tenant=a,sentry-trace_id=1,plan=b"}

    add_to_meta(meta, {"baggage": "sentry-trace_id=2"})
    assert meta == {"baggage": "tenant=a,plan=b,sentry-trace_id=2"}

    add_to_meta(meta, {"baggage": "tenant=c"})
    assert meta == {"baggage": "sentry-trace_id=2,tenant=c"}


def test_what_does_not_fit_is_left_out_and_nothing_earlier_is_kept_in_its_place():
    meta = {"mine": "x" * 4_000, "baggage": "tenant=a"}

    add_to_meta(meta, {"traceparent": "0" * 55, "baggage": "tenant=" + "b" * 100})

    assert meta == {"mine": "x" * 4_000, "traceparent": "0" * 55}
